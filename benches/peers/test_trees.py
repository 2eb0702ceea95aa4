"""What trees.py makes of lists and of labels of one kind, on data made here: .venv-trees/bin/python benches/peers/test_trees.py"""

import pathlib
import tempfile
import unittest

import numpy
import pyarrow
import trees

IDS = [[[3, 3, 7], []], [[], [1]], [[7], [1, 2]], [[3], [2, 2, 2]]]


def split(folder):
    """Two multi-valued features of four rows, and a numeric one."""
    lists = pyarrow.list_(pyarrow.list_(pyarrow.uint32()), 2)
    numbers = pyarrow.list_(pyarrow.float32(), 1)
    table = pyarrow.table(
        {
            "lists": pyarrow.array(IDS, lists),
            "numeric": pyarrow.array([[0.5], [1.5], [2.5], [3.5]], numbers),
            "labels": pyarrow.array([[0.0], [0.0], [float("nan")], [0.0]], numbers),
        }
    )
    path = pathlib.Path(folder) / "train.arrow"
    with pyarrow.ipc.new_file(path, table.schema) as writer:
        # Two batches, as a large file has.
        writer.write_table(table, max_chunksize=3)
    return trees.Split(path)


class Lists(unittest.TestCase):
    def test_each_row_has_the_counts_of_its_own_list(self):
        with tempfile.TemporaryDirectory() as folder:
            found = split(folder)
        first, second = found.common_ids()
        self.assertEqual(first.tolist(), [3, 7], "3 is there three times, 7 twice")
        self.assertEqual(second.tolist(), [2, 1])
        wanted = [[row.count(id) for row, id in ((a, 3), (a, 7), (b, 2), (b, 1))] for a, b in IDS]
        features = found.features([first, second])
        self.assertEqual(features[:, 0].tolist(), [0.5, 1.5, 2.5, 3.5])
        self.assertEqual(features[:, 1:].tolist(), wanted)
        unseen = found.counts(0, numpy.array([9], numpy.uint32))
        self.assertEqual(unseen.ravel().tolist(), [0, 0, 0, 0])


class OneKind(unittest.TestCase):
    def test_a_task_with_labels_of_one_kind_is_left_out_and_recorded(self):
        with tempfile.TemporaryDirectory() as folder:
            splits = {"train": split(folder)}
        why = trees.why_untrained("click", 0, splits)
        self.assertEqual(why, "click: left out, every label of the train split is 0")
        both = dict.fromkeys(("validation", "test"), splits["train"])
        rows = trees.undefined_rows("click", False, 0, both, [1, 2])
        self.assertEqual(rows[0], ("trees", 1, "validation", "click", "auc", "", 3, 0))
        self.assertEqual(len(rows), 4)

    def test_what_one_kind_of_label_leaves_undefined_has_no_value(self):
        values = trees.binary_metrics(numpy.array([0.25, 0.5]), numpy.array([0.0, 0.0]), None)
        self.assertIsNone(values["auc"])
        self.assertIsNone(values["normalised_entropy"])
        self.assertIsNone(values["calibration"])
        self.assertAlmostEqual(values["log_loss"], -(numpy.log(0.75) + numpy.log(0.5)) / 2)


if __name__ == "__main__":
    unittest.main()
