"""Reports like those of the program, with made-up numbers, for the tests of what they look like."""

from math import nan

from segablate.tables import Column, Report, Row, Table

CAMVID = {
    "sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128), "road": (128, 64, 128),
    "pavement": (60, 40, 222), "tree": (128, 128, 0), "sign symbol": (192, 128, 128), "fence": (64, 64, 128),
    "car": (64, 0, 128), "pedestrian": (64, 64, 0), "bicyclist": (0, 128, 192),
}  # fmt: skip
SCORES = (
    (0.921, 0.958, 0.960, 0.9588, 0.874, 3_121_004), (0.812, 0.905, 0.888, 0.8964, 0.611, 4_410_233),
    (0.312, 0.421, 0.548, 0.4762, 0.553, 170_412), (0.946, 0.978, 0.967, 0.9724, 0.823, 5_302_118),
    (0.813, 0.894, 0.899, 0.8966, 0.702, 1_404_990), (0.742, 0.871, 0.834, 0.8519, 0.580, 1_820_377),
    (0.364, 0.441, 0.676, 0.5338, 0.468, 190_101), (nan, nan, nan, nan, nan, 0),
    (0.803, 0.902, 0.880, 0.8909, 0.651, 1_004_331), (0.471, 0.602, 0.684, 0.6404, 0.519, 98_040),
    (0.518, 0.611, 0.772, 0.6823, 0.497, 60_215),
)  # fmt: skip
FACTS = (
    ("checkpoint", "espnet:/data/checkpoints/espnet_p_2_q_8_camvid.pth"),
    ("dataset", "camvid:/data/camvid · test · 233 images of 360×480"),
    ("preprocessing", "RGB / 255 · mean (0.485, 0.456, 0.406) · std (0.229, 0.224, 0.225) · full size"),
    ("device", "cpu · float32 · batches of 4"),
    ("convention", "void takes no part; a class counts if it is labelled or predicted"),
)


def share(key: str, title: str, **more: bool) -> Column:
    return Column(key, title, "share", mark="low", **more)


PER_CLASS = (
    Column("colour", "Colour", "swatch"),
    Column("class", "Class", "text"),
    share("iou", "IoU", bar=True),
    share("recall", "Recall"),
    share("precision", "Precision"),
    share("f1", "F1", wide=True),
    share("boundary_f", "Boundary F"),
    Column("support", "Support", "count"),
)
OVERALL = (
    Column("miou", "mIoU", "share"),
    Column("mean_recall", "Mean recall", "share"),
    Column("pixel_accuracy", "Pixel accuracy", "share"),
    Column("fwiou", "Freq.-weighted IoU", "share"),
    Column("ce", "CE", "number"),
    Column("seconds", "Time / image", "seconds", wide=True),
)


def per_class_rows() -> tuple[Row, ...]:
    keys = ("iou", "recall", "precision", "f1", "boundary_f", "support")
    pairs = zip(CAMVID.items(), SCORES, strict=True)
    return tuple({"class": name, "colour": rgb} | dict(zip(keys, row, strict=True)) for (name, rgb), row in pairs)


def evaluation() -> Report:
    overall: Row = {"miou": 0.6702, "mean_recall": 0.7583, "pixel_accuracy": 0.9017, "fwiou": 0.8331, "ce": 0.3104128}
    return Report(
        "Evaluation of espnet_p_2_q_8_camvid",
        FACTS,
        (
            Table("overall", "Overall", OVERALL, (overall | {"seconds": 0.0412},)),
            Table(
                "classes",
                "Per class",
                PER_CLASS,
                per_class_rows(),
                (
                    "1 of 11 classes is never labelled nor predicted here: its scores are undefined, and means "
                    "are over 10 classes",
                    "Boundary F within 3 pixels, hits pooled over images",
                ),
            ),
        ),
        ("saved as runs/espnet-camvid; segablate show runs/espnet-camvid prints this again",),
    )


def comparison() -> Report:
    columns = (
        Column("class", "Class", "text"),
        Column("a", "A IoU", "share"),
        Column("b", "B IoU", "share"),
        Column("delta", "B − A", "signed_share", mark="low"),
        Column("interval", "95 % CI", "signed_interval"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"),
        Column("ratio", "Cost", "ratio", wide=True),
    )
    rows = (
        ("all (mIoU)", 0.6702, 0.6844, 0.0142, (0.0061, 0.0224), 0.0004, 0.0048),
        ("road", 0.946, 0.9489, 0.0029, (0.0011, 0.0047), 0.0021, 0.0231),
        ("pole", 0.312, 0.3711, 0.0591, (0.0402, 0.1013), 0.00003, 0.00036),
        ("fence", None, None, None, None, None, None),
        ("bicyclist", 0.518, 0.4861, -0.0319, (-0.0721, 0.0083), 0.118, 0.708),
    )
    keys = [column.key for column in columns]
    named = tuple(dict(zip(keys, row, strict=False)) for row in rows)
    table = Table("differences", "Paired by image", columns, named, ("233 images, bootstrap of 10 000",), sections=(1,))
    return Report("Comparison of flips with plain", (("A", "runs/plain"), ("B", "runs/flips")), (table,))


def ablation() -> Report:
    columns = (
        Column("setting", "Setting", "text"),
        Column("value", "Value", "number"),
        Column("rho", "Rank correlation with IoU", "signed_number", digits=2, best="low"),
        Column("change", "Change", "signed_number"),
        Column("band", "Interval", "number_interval", digits=2),
        Column("time", "Time", "seconds"),
        Column("memory", "Memory", "bytes"),
        Column("cost", "Cost", "ratio"),
    )
    rows = (
        ("radius=1", 0.2211, -0.41, -12.1, (-0.61, -0.2), 0.00321, 2_100_000, 0.26),
        ("radius=3", 12.34, -0.63, 0.0, (-0.71, -0.52), 0.0124, 22_100_000, 1.0),
        ("radius=5", 118.2, -0.58, 105.9, (-0.7, -0.45), 0.118, 61_865_984, 9.52),
    )
    named = tuple(dict(zip([column.key for column in columns], row, strict=True)) for row in rows)
    table = Table("settings", "rmi under 3 settings", columns, named, baseline=1)
    return Report("Ablation of rmi", (("loss", "rmi"),), (table,))
