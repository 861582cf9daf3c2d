"""What a product's keys look like and how they sell, as a person types it: presets of alphabets, numbers, switches."""

from __future__ import annotations

import string
from dataclasses import dataclass, field

from pydantic import ValidationError

from shared.cardkey import MAX_LENGTH, CheckDigit
from shared.contracts.catalog import KeyRule, Product, SellingRule
from shared.states import RefundPolicy, SaleOrder

OWN = "own"
PRESETS: dict[str, str] = {
    "any": "",
    "digits": string.digits,
    "upper_digits": string.ascii_uppercase + string.digits,
    "upper_digits_dash": string.ascii_uppercase + string.digits + "-",
    "clear": "".join(c for c in string.ascii_uppercase + string.digits if c not in "0O1I"),
    "letters_digits": string.ascii_letters + string.digits,
    "hex": string.digits + "ABCDEFabcdef",
}
"""Alphabets that many keys use. Any other one is OWN, and typed."""

CHECK_DIGITS = (CheckDigit.NONE, CheckDigit.LUHN, CheckDigit.MOD_97)
ORDERS = (SaleOrder.FIRST_IN, SaleOrder.RANDOM, SaleOrder.LAST_IN)
POLICIES = (RefundPolicy.BEFORE_VIEW, RefundPolicy.UNUSED_ONLY, RefundPolicy.DEFECT_ONLY, RefundPolicy.NONE)


def preset_of(alphabet: str) -> str:
    """The name of an alphabet, whatever the order of its characters; OWN for one without a name."""
    return next((name for name, text in PRESETS.items() if set(text) == set(alphabet)), OWN)


@dataclass
class RulesDraft:
    """The rules as they are typed. `wrong` maps fields to reasons: `length`, `alphabet`, `other`."""

    min_length: int = 1
    max_length: int = MAX_LENGTH
    preset: str = "any"
    alphabet: str = ""
    check_digit: CheckDigit = CheckDigit.NONE
    ignore_case: bool = False
    sale_order: SaleOrder = SaleOrder.FIRST_IN
    stop_days: int = 0
    off_shelf_when_empty: bool = False
    refund_policy: RefundPolicy = RefundPolicy.DEFECT_ONLY
    wrong: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, product: Product) -> RulesDraft:
        """The rules that a product has."""
        rule, selling = product.key_rule, product.selling
        return cls(
            min_length=rule.min_length,
            max_length=rule.max_length,
            preset=preset_of(rule.alphabet),
            alphabet=rule.alphabet,
            check_digit=rule.check_digit,
            ignore_case=rule.ignore_case,
            sale_order=selling.sale_order,
            stop_days=selling.stop_days,
            off_shelf_when_empty=selling.off_shelf_when_empty,
            refund_policy=selling.refund_policy,
        )

    def finish(self) -> tuple[KeyRule, SellingRule] | None:
        """The rules, or None with `wrong` filled."""
        alphabet = PRESETS.get(self.preset, "".join(dict.fromkeys(self.alphabet.replace(" ", ""))))
        self.wrong = {}
        if self.min_length > self.max_length:
            self.wrong["length"] = "length"
        if self.preset == OWN and not alphabet:
            self.wrong["alphabet"] = "needed"
        if self.wrong:
            return None
        try:
            return (
                KeyRule(
                    min_length=self.min_length,
                    max_length=self.max_length,
                    alphabet=alphabet,
                    check_digit=self.check_digit,
                    ignore_case=self.ignore_case,
                ),
                SellingRule(
                    sale_order=self.sale_order,
                    stop_days=self.stop_days,
                    off_shelf_when_empty=self.off_shelf_when_empty,
                    refund_policy=self.refund_policy,
                ),
            )
        except ValidationError:
            # What is left to be wrong: an alphabet in which no key has such a check digit, or one that is too long.
            self.wrong["alphabet"] = "check"
            return None
