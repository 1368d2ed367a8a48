"""What the folders and files of a download are called: a shape for the years that share one."""

from dataclasses import dataclass

Names = tuple[str, ...]  # the first name that exists is used


@dataclass(frozen=True)
class Shape:
    """The names in one shape of download, for `competition.read`."""

    years: str
    needs: tuple[Names, ...]  # what tells it from others: folders (ending in /) or files
    train: Names = ("train", "train_subset")
    dev: Names = ("dev",)
    test: Names = ("test",)
    inside: str | None = None  # the folder that holds the splits; the rest lies around it
    order: Names = ()  # a file that lists the test images in the order of the submission
    sizes: Names = ()  # folders of classes inside a split, whose classes are put together
    val_pairs: Names = ()
    test_pairs: Names = ()
    val_faces: Names = ()
    test_faces: Names = ()
    any_positive: bool = False  # labels of pairs above 1 (S21)
    known: bool = False  # people to find unknown faces among, instead of pairs


SHAPES = {
    "hw2p2": Shape(
        "F24 to F26",
        needs=(("cls_data/",),),
        train=("train", "training"),
        dev=("dev", "val", "valid", "validation"),
        test=("test", "testing"),
        inside="cls_data",
        val_pairs=("val_pairs.txt", "val_pairs.csv"),
        test_pairs=("test_pairs.txt", "test_pairs.csv"),
        val_faces=("ver_data",),
        test_faces=("ver_data",),
    ),
    "hw2p2_f22": Shape(
        "F22, S23, F23, S24",
        needs=(("train/", "train_subset/"), ("known/",), ("unknown_dev/", "unknown_test/")),
        known=True,
    ),
    "hw2p2_s22": Shape(
        "S22",
        needs=(("train/", "train_subset/"), ("verification_dev.csv", "verification_test.csv")),
        val_pairs=("verification_dev.csv",),
        test_pairs=("verification_test.csv",),
        val_faces=("dev",),
        test_faces=("test",),
    ),
    "hw2p2_f20": Shape(
        "F20, S21, F21",
        needs=(("train_data/",), ("val_data/",)),
        train=("train_data",),
        dev=("val_data",),
        test=("test_data",),
        order=("classification_test.txt",),
        val_pairs=("verification_pairs_val.txt",),
        test_pairs=("verification_pairs_test.txt",),
        val_faces=("verification_data",),
        test_faces=("verification_data",),
        any_positive=True,
    ),
    "hw2p2_s19": Shape(
        "S19, S20",
        needs=(("train_data/",), ("validation_classification/",)),
        train=("train_data",),
        dev=("validation_classification",),
        test=("test_classification",),
        order=("test_order_classification.txt",),
        sizes=("large", "medium"),
        val_pairs=("validation_trials_verification.txt",),
        test_pairs=("test_trials_verification_student.txt", "trials_test_new.txt"),
        val_faces=("validation_verification",),
        test_faces=("test_verification", "test_veri_T_new"),
    ),
}
