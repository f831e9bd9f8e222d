"""The products of the synthetic shop: generic names, no brands.

The products of a category are listed in the order in which visitors look at them: each goes with the previous one.
"""

CATEGORIES: dict[str, tuple[str, ...]] = {
    category: tuple(kinds.split(", "))
    for category, kinds in {
        "Running": (
            "Trail running shoes, Running socks, Running shorts, Running shirt, Windbreaker, "
            "Running cap, Sports watch strap, Hydration vest, Soft flask, Reflective armband"
        ),
        "Cycling": (
            "Cycling helmet, Cycling gloves, Cycling jersey, Bib shorts, Bottle cage, "
            "Handlebar tape, Saddle bag, Floor pump, Bike light set, Folding lock"
        ),
        "Camping": (
            "Two-person tent, Groundsheet, Sleeping mat, Sleeping bag, Inflatable pillow, "
            "Camping stove, Cooking pot set, Folding chair, Camping lantern, Cool box"
        ),
        "Kitchen": (
            "Frying pan, Saucepan, Glass lid, Silicone spatula, Mixing bowl, "
            "Chopping board, Chef's knife, Knife block, Measuring cup, Kitchen scale"
        ),
        "Coffee and tea": (
            "Espresso maker, Coffee grinder, Milk frother, Espresso cup pair, Coffee canister, "
            "Pour-over dripper, Paper filter box, Gooseneck kettle, Teapot, Tea strainer"
        ),
        "Bedroom": (
            "Duvet cover, Pillowcase pair, Fitted sheet, Wool blanket, Bedspread, "
            "Cushion, Bedside lamp, Alarm clock, Laundry basket, Slippers"
        ),
        "Bathroom": (
            "Bath towel, Hand towel, Bath mat, Shower curtain, Soap dispenser, "
            "Toothbrush holder, Shower caddy, Bathrobe, Make-up mirror, Towel rail"
        ),
        "Garden": (
            "Watering can, Garden hose, Hose reel, Pruning shears, Gardening gloves, "
            "Hand trowel, Plant pot, Seed tray, Garden bench, String lights"
        ),
        "Office": (
            "Desk lamp, Desk mat, Monitor stand, Wireless keyboard, Wireless mouse, "
            "Laptop sleeve, Notebook, Fountain pen, Pen holder, Document tray"
        ),
        "Audio": (
            "Over-ear headphones, Headphone stand, Headphone case, Wireless earbuds, Earbud tips, "
            "Portable speaker, Speaker stand pair, Audio cable, Desk microphone, Microphone arm"
        ),
        "Toys": (
            "Building blocks, Wooden train, Train track set, Toy crane, Play mat, "
            "Plush rabbit, Picture puzzle, Modelling clay, Crayon box, Toy chest"
        ),
        "Pets": (
            "Dog lead, Dog collar, Dog harness, Dog bed, Food bowl, "
            "Treat pouch, Chew toy, Grooming brush, Cat tree, Travel crate"
        ),
    }.items()
}
"""Category -> its kinds of product."""

COLOURS = ("black", "blue", "green", "sand")
"""Every kind of product comes in all colours; a visitor who wants another colour takes the next one."""
