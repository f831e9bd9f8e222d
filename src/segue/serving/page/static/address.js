// The address of the page, which restores what is shown.

// Change the parameters of the shown view in the address, without a step in the history.
export function remember(parameters) {
  const view = document.querySelector("nav a[aria-current]").dataset.view;
  const query = parameters.toString();
  history.replaceState(null, "", `#/${view}${query ? `?${query}` : ""}`);
}
