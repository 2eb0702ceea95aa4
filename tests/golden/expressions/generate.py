"""What DuckDB makes of operands of every pair of types, as `operands.txt`, for the tests of expressions.

python generate.py            writes operands.txt
python generate.py --check    compares, byte for byte

Right values are DuckDB's but in five places. Where it rounds integers to numbers of 64 or 32 bits without a word, comparisons of
integers with such numbers are Python's, which are exact, and choosing among them is refused if an integer would lose digits. A text
beside integers is the number that it spells, where DuckDB rounds it to an integer. Divided by 0.0, numbers are null and not infinite.
A column of texts beside days keeps its time of day. The greatest of texts that are times is a time here and a text there: it isn't asked.
"""

import datetime
import decimal
import math
import operator
import pathlib
import sys

import duckdb

COLUMNS = {
    "flag": ("boolean", [True, False, None, True]),
    "small": ("bigint", [1, 0, -7, None]),
    "big": ("bigint", [9007199254740993, 9007199254740992, 1, None]),
    "huge": ("ubigint", [18446744073709551615, 9007199254740993, 0, None]),
    "money": ("decimal(18,2)", ["0.10", "1.00", "-7.25", None]),
    "wide": ("decimal(38,2)", ["9007199254740993.00", "9007199254740992.00", "1.00", None]),
    "double": ("double", [9007199254740992.0, 0.1, 1.0, None]),
    "single": ("float", [0.1, 0.0, -7.25, None]),
    "word": ("varchar", ["abc", "b", None, "1"]),
    "digits": ("varchar", ["1", "9007199254740993", "-7", None]),
    "moment": ("varchar", ["2022-01-05", "2022-01-05 10:00:00", "2022-01-06", None]),
    "day": ("date", ["2022-01-05", "2022-01-06", "1969-12-31", None]),
    "time": ("timestamp", ["2022-01-05 00:00:00", "2022-01-05 10:00:00.5", "1969-12-31 23:59:59", None]),
}
LITERALS = [
    "1", "0.1", "9007199254740993", "true", "'1'", "'0.10'", "'abc'", "'2022-01-05'", "'2022-01-05 10:00:00'",
    "date '2022-01-05'", "timestamp '2022-01-05 10:00:00.5'",
]
COMPARISONS = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
CHOICES = {
    "coalesce": "coalesce({a}, {b})",
    "case": "case when `small` = 1 then {a} else {b} end",
    "greatest": "greatest({a}, {b})",
    "least": "least({a}, {b})",
}
INTEGERS, FLOATS = {"small", "big", "huge"}, {"double", "single"}
TEXTS = {"word", "digits", "moment"}
NUMBERS = INTEGERS | FLOATS | {"money", "wide"}

connection = duckdb.connect()
connection.execute("set timezone = 'UTC'")


def literal(value, kind):
    return "null" if value is None else f"cast('{value}' as {kind})"


rows = [
    ", ".join(f'{literal(values[row], kind)} as "{name}"' for name, (kind, values) in COLUMNS.items())
    for row in range(4)
]
connection.execute("create table operands as " + " union all ".join(f"select {row} as place, {text}" for row, text in enumerate(rows)))


def spelled(value):
    """A value as expressions write it, without zeros at the end of decimals."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, decimal.Decimal):
        text = f"{value:f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
    if isinstance(value, datetime.datetime):
        return value.isoformat().rstrip("0").rstrip(".") if value.microsecond else value.isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat() + "T00:00:00"
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return repr(value) if isinstance(value, float) else str(value)


def asked(text, is_choice=False):
    """What DuckDB says of an expression on every row, and its type; nothing where it refuses."""
    text = text.replace("`", '"')
    if not any(f'"{name}"' in text for name in TEXTS):
        text = text.replace("'0.10'", "0.10") if any(f'"{name}"' in text for name in INTEGERS) else text
    if not is_choice and ('"day"' in text or "date '" in text):
        text = text.replace('"moment"', 'cast("moment" as timestamp)') if " as text" not in text else text
    try:
        found = connection.execute(f"select {text}, typeof({text}) from operands order by place").fetchall()
    except duckdb.Error:
        return None
    return [value for value, _ in found], found[0][1]


def numbers(name):
    if name in LITERALS:
        return [int(name)] * 4
    return [row[0] for row in connection.execute(f'select "{name}" from operands order by place').fetchall()]


def line(text, outcome):
    if outcome is None:
        return f"{text}\trefused"
    values, kind = outcome
    return "\t".join([text, "single" if kind == "FLOAT" else "exact", *map(spelled, values)])


def compared(a, b):
    """Comparisons of two operands, and what is made of them."""
    left, right = f"`{a}`", b if b in LITERALS else f"`{b}`"
    pairs = None
    if {a, b} & (INTEGERS | {"9007199254740993"}) and {a, b} & FLOATS:
        pairs = list(zip(numbers(a), numbers(b)))

    def exactly(by, text):
        if pairs is None:
            return asked(text)
        return [None if None in pair else by(*pair) for pair in pairs], "BOOLEAN"

    for word, by in COMPARISONS.items():
        text = f"{left} {word} {right}"
        yield line(text, exactly(by, text))
    equal = f"{left} = {right}"
    for text in (f"{left} in ({right}, {right})", f"{right} in ({left})"):
        yield line(text, exactly(operator.eq, equal))
    # DuckDB mixes no texts and numbers in one `between`, and does in two comparisons.
    text = f"{left} between {right} and {right}"
    yield line(text, exactly(operator.eq, f"{left} >= {right} and {left} <= {right}"))
    text = f"case {left} when {right} then 'same' else 'other' end"
    found = exactly(operator.eq, equal)
    yield line(text, found and (["same" if value else "other" for value in found[0]], "VARCHAR"))
    if found is not None:
        kept = numbers(a)
        values = [None if is_equal else value for value, is_equal in zip(kept, found[0])]
        kind = connection.execute(f'select typeof("{a}") from operands').fetchone()[0]
        yield line(f"nullif({left}, {right})", (values, kind))
    else:
        yield line(f"nullif({left}, {right})", None)


def chosen(a, b):
    left, right = f"`{a}`", b if b in LITERALS else f"`{b}`"
    loses = {a, b} & {"big", "huge"} and {a, b} & FLOATS or (b == "9007199254740993" and a == "double")
    for word, form in CHOICES.items():
        text = form.format(a=left, b=right)
        if a == "moment" and (b == a or b.startswith("'2022")) and word in ("greatest", "least"):
            continue
        # Which values `case` takes decides whether one loses digits.
        if loses and word == "case":
            continue
        yield line(text, None if loses else asked(text, is_choice=True))


def computed(a, b):
    left, right = f"`{a}`", b if b in LITERALS else f"`{b}`"
    for word in "+-*/%":
        text = f"{left} {word} {right}"
        yield line(text, asked(text))


def lines():
    for name, (kind, values) in COLUMNS.items():
        yield "\t".join(["column", name, kind, *("null" if value is None else str(value).lower() if kind == "boolean" else str(value) for value in values)])
    names = list(COLUMNS)
    for a in names:
        for b in names + LITERALS:
            yield from compared(a, b)
            yield from chosen(a, b)
            # Sums of what DuckDB keeps in 64 bits overflow there, and are exact here.
            if a in NUMBERS - {"huge"} and b in NUMBERS - {"huge"} | {"1", "0.1"} and not {"big", "wide"} >= {a, b}:
                yield from computed(a, b)
    for name, (kind, _) in COLUMNS.items():
        if kind not in ("double", "float"):
            yield line(f"cast(`{name}` as text)", asked(f"cast(`{name}` as varchar)"))
        for to in ("tinyint", "bigint", "decimal(10, 0)", "decimal(38, 1)", "date", "timestamp"):
            if kind not in ("varchar",) and not (kind in ("double", "float", "decimal(18,2)", "decimal(38,2)") and to in ("tinyint", "bigint")):
                yield line(f"try_cast(`{name}` as {to})", asked(f"try_cast(`{name}` as {to})"))
    for name in ("small", "money", "double", "single"):
        yield line(f"round(`{name}`)", asked(f"round(`{name}`)"))
        for places in ("1", "-1"):
            yield line(f"round(`{name}`, {places})", asked(f"round(`{name}`, {places})"))
        for word in ("floor", "ceil", "abs"):
            yield line(f"{word}(`{name}`)", asked(f"{word}(`{name}`)"))
    yield line("round(`double`, `small`)", asked("round(`double`, cast(`small` as integer))"))


def main():
    path = pathlib.Path(__file__).with_name("operands.txt")
    text = "\n".join(lines()) + "\n"
    if "--check" in sys.argv:
        if path.read_text() != text:
            sys.exit("operands.txt is not what DuckDB says")
        return
    path.write_text(text)


main()
