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


class Categories(unittest.TestCase):
    def split(self, folder, categorical):
        """Two categorical features, the second one of buckets, and labels."""
        rows = len(categorical)
        table = pyarrow.table(
            {
                "categorical": pyarrow.array(categorical, pyarrow.list_(pyarrow.uint32(), 2)),
                "labels": pyarrow.array([[float(row % 2)] for row in range(rows)], pyarrow.list_(pyarrow.float32(), 1)),
            }
        )
        path = pathlib.Path(folder) / "train.arrow"
        with pyarrow.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
        return trees.Split(path)

    def test_buckets_are_numbers_and_missing_where_nothing_was_there(self):
        with tempfile.TemporaryDirectory() as folder:
            found = self.split(folder, [[1, 0], [2, 3], [0, 1]])
        features = found.features([], buckets=[1])
        self.assertEqual(features[:, 0].tolist(), [1, 2, 0])
        self.assertTrue(numpy.isnan(features[0, 1]))
        self.assertEqual(features[1:, 1].tolist(), [3, 1])

    def test_every_row_is_looked_at_for_categories_and_those_left_are_counted(self):
        # More rows than LightGBM samples by itself. Ten categories of four rows each, of which a sample would lack some, and one of one
        # row; a category needs three rows (min_data_in_bin).
        rows = 300_000
        categorical = [[1 + row % 2, 1 + row % 5] for row in range(rows)]
        for row in range(40):
            categorical[row * 7000][0] = 3 + row // 4
        categorical[-1][0] = 13
        schema = {"categorical": [{"name": "shop"}, {"name": "price", "kind": "bucket"}], "numeric": [], "lists": []}
        with tempfile.TemporaryDirectory() as folder:
            splits = {"train": self.split(folder, categorical)}
            splits["validation"] = splits["train"]
            task = trees.Task("click", False, 0, splits, schema, 1)
            model = trees.lightgbm.train(task.fixed(1), task.train, 1)
        self.assertEqual(task.categories(model), [("shop", 13, 12)])


class Resuming(unittest.TestCase):
    def test_what_is_kept_is_used_for_the_same_search_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            kept = trees.Kept(folder, 0, "a")
            kept.trials.append(({"learning_rate": 0.1}, 0.7000000000000001))
            kept.write()
            self.assertEqual(trees.Kept(folder, 0, "a").trials, [[{"learning_rate": 0.1}, 0.7000000000000001]])
            self.assertEqual(trees.Kept(folder, 0, "b").trials, [])
            self.assertEqual(trees.Kept(folder, 1, "a").trials, [])


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
