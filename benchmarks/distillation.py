"""A student with a third of its teacher's width, taught and alone, over several seeds.

    python benchmarks/distillation.py LOG FOLDER [--seeds 3] [--width 192] [--student-width 64] [--weight 0.5]
        [--temperature 1]

Teacher and student are the same recurrent network but for their width, trained alike; the difference is from the
student alone. LOG has a given split, as diginetica has. What is finished is kept in FOLDER, so that a killed
run goes on.
"""

import argparse
from pathlib import Path

from seeds import Measuring, Row, compare, folder_for

import segue
from segue.protocols.dataset import Dataset
from segue.training.runtime import Runtime


def network(width: int, epochs: int) -> segue.ImprovedGRU4Rec:
    """Return a recurrent network that is trained on every prefix."""
    training = {
        "click_dropout": 0.0,
        "optimizer": "mixed",
        "learning_rate": 3e-3,
        "batch_size": 128,
        "schedule": "linear",
        "epochs": epochs,
    }
    return segue.ImprovedGRU4Rec(embedding_size=width, hidden_size=width, training=training)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--student-width", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--weight", type=float, default=0.5)
    parser.add_argument("--temperature", type=float, default=1.0)
    args = parser.parse_args()
    plan = segue.Distillation(weight=args.weight, temperature=args.temperature)
    data = segue.prepare(segue.read(args.log), split={"valid_share": 0.0})
    sizes = {"width": args.width, "student_width": args.student_width, "epochs": args.epochs}
    folder = folder_for(args.folder, data, **sizes, plan=plan)
    artifact = folder / "teacher"

    def teacher(data: Dataset, seed: int, runtime: Runtime) -> segue.Model:
        if not artifact.exists():
            network(args.width, args.epochs).fit(data.train, seed=0, runtime=runtime).save(artifact)
        return segue.load(artifact)

    def alone(data: Dataset, seed: int, runtime: Runtime) -> segue.Model:
        return network(args.student_width, args.epochs).fit(data.train, seed=seed, runtime=runtime)

    def taught(data: Dataset, seed: int, runtime: Runtime) -> segue.Model:
        student = network(args.student_width, args.epochs)
        return student.learn_from(segue.load(artifact), data.train, plan, seed=seed, runtime=runtime)

    metrics = ("recall@20", "mrr@20")
    compare({"teacher": Row(teacher)}, data, Measuring(folder, metrics))
    students = {"student alone": Row(alone), "student taught": Row(taught, "student alone")}
    compare(students, data, Measuring(folder, metrics, args.seeds))


if __name__ == "__main__":
    main()
