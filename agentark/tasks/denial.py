"""Words that deny what stands beside them, for the patterns of numbers, letters and boxes."""

from typing import Final

NOT: Final = r"\bnot|n['’]t"
DENYING: Final = rf"{NOT}(?:\s+be)?|\brather\s+than|\binstead\s+of|\bunlike|\bexcept|\bneither|\bnor|\bnever"
"""In front of what is denied, as alternatives of a pattern: "not 8", "rather than B"."""
WRONG: Final = r"wrong|incorrect|false"
"""Said of what is denied, as alternatives of a pattern: "8 is wrong"."""
