"""What the demo shop sells and who works there: tables, nothing else.

Between them the goods show what stock can do: keys with a check digit, dates, costs and several uses, a product that
leaves the shelf when it has sold out, and alerts from the first minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.cardkey import CheckDigit
from shared.contracts.catalog import KeyRule, SellingRule
from shared.contracts.settlement import EditTerms
from shared.finance import Cycle, ReleaseFrom
from shared.permissions import Role
from shared.states import SaleOrder


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in; a supplier's person names its company."""

    login: str
    name: str
    role: Role
    supplier: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Made-up keys that come in together: how many, in how many days they expire, how often each is sold."""

    keys: int
    expires_in: int | None = None
    uses: int = 1


_ANY_KEY, _AS_USUAL = KeyRule(), SellingRule()


@dataclass(frozen=True, slots=True)
class Goods:
    """One product with its SKUs as (code, name, price in 1/10000 yuan), and the batches that each of them is given.

    A key cost `cost_percent` of its price. `below` is the alert rule of its SKUs: fewer are too few.
    """

    category: str
    code: str
    name: str
    supplier: str
    picture: str
    summary: str
    description: str
    skus: tuple[tuple[str, str, int], ...]
    batches: tuple[Batch, ...] = (Batch(120),)
    cost_percent: int = 90
    key_rule: KeyRule = _ANY_KEY
    selling: SellingRule = _AS_USUAL
    below: int | None = None


SUPPLIERS: dict[str, int] = {"星河数码": 50_000, "北辰软件": 80_000}
"""Companies and the platform's rate of their sales in millionths."""

TERMS: dict[str, EditTerms] = {
    "星河数码": EditTerms(
        mode="profit_sharing",
        cycle=Cycle.WORKING_DAYS,
        n=1,
        release_from=ReleaseFrom.DELIVERED,
        account="1900000109",
        reason="合同：交付后 T+1 个工作日，微信分账",
        version=0,
    ),
    "北辰软件": EditTerms(
        mode="purchase",
        cycle=Cycle.D0,
        n=0,
        release_from=ReleaseFrom.DELIVERED,
        minimum_fen=100,
        payout_fee_fen=50,
        receiver="北辰软件有限公司",
        account="6217 0000 1234 5678",
        bank="示例银行城东支行",
        reason="合同：当日 17:00 前交付的当日结算，采购付款",
        version=0,
    ),
}
"""On which terms each is paid: one at the channel on the next working day, one by a bank transfer on the same day."""

PEOPLE = (
    Person("admin", "王敏", Role.ADMIN),
    Person("operator", "李航", Role.OPERATOR),
    Person("finance", "周洁", Role.FINANCE),
    Person("xinghe", "陈星", Role.SUPPLIER, "星河数码"),
    Person("beichen", "赵北", Role.SUPPLIER, "北辰软件"),
)

CATEGORIES: tuple[tuple[str, str], ...] = (("games", "游戏与充值"), ("media", "影音会员"), ("software", "软件与课程"))

_HOW_TO = "付款后卡密立即显示在订单页，可复制或下载保存。请在有效期内到官方页面兑换，兑换后不可撤销。"

GOODS = (
    Goods(
        "games",
        "game-card",
        "游戏点卡",
        "星河数码",
        "game-cards",
        "官方点卡，即时到账，全服通用",
        f"适用于官方账号中心充值。\n\n{_HOW_TO}",
        (("GAME-30", "30 元面值", 285_000), ("GAME-50", "50 元面值", 470_000), ("GAME-100", "100 元面值", 935_000)),
    ),
    Goods(
        "games",
        "phone-topup",
        "话费充值卡",
        "星河数码",
        "phone-topup",
        "三网通用的充值卡密",
        f"拨打运营商客服或在营业厅应用中输入卡密即可。\n\n{_HOW_TO}",
        (("TOPUP-50", "50 元", 497_000), ("TOPUP-100", "100 元", 990_000)),
        cost_percent=98,
        key_rule=KeyRule(min_length=18, max_length=18, alphabet="0123456789", check_digit=CheckDigit.LUHN),
    ),
    Goods(
        "media",
        "video-vip",
        "视频会员",
        "星河数码",
        "video-vip",
        "高清、免广告，手机与电视都能用",
        f"在会员中心选择“兑换码”输入。\n\n{_HOW_TO}",
        (("VIDEO-M", "月卡", 198_000), ("VIDEO-Y", "年卡", 1_680_000)),
        batches=(Batch(90, expires_in=400), Batch(30, expires_in=10)),
        selling=SellingRule(stop_days=3),
    ),
    Goods(
        "media",
        "music",
        "音乐会员",
        "星河数码",
        "music",
        "无损音质，离线下载",
        _HOW_TO,
        (("MUSIC-M", "月卡", 125_000), ("MUSIC-Q", "季卡", 330_000)),
        batches=(Batch(3),),
        selling=SellingRule(sale_order=SaleOrder.RANDOM, off_shelf_when_empty=True),
        below=10,
    ),
    Goods(
        "software",
        "office",
        "办公套件授权",
        "北辰软件",
        "office-licence",
        "一年授权，支持三台设备",
        f"下载官方安装包，在“激活”中输入授权码。\n\n{_HOW_TO}",
        (("OFFICE-1Y", "一年 · 三台设备", 1_990_000),),
    ),
    Goods(
        "software",
        "antivirus",
        "安全防护",
        "北辰软件",
        "antivirus",
        "实时防护，家庭三台设备",
        _HOW_TO,
        (("SAFE-1Y", "一年", 690_000),),
    ),
    Goods(
        "software",
        "python-course",
        "Python 入门课程",
        "北辰软件",
        "course-python",
        "42 节视频与练习，永久观看",
        f"打开课程网站，用兑换码加入课程。\n\n{_HOW_TO}",
        (("COURSE-PY", "完整课程", 990_000),),
        batches=(Batch(4, uses=50),),
        cost_percent=0,
    ),
    Goods(
        "software",
        "cloud-drive",
        "云盘扩容",
        "北辰软件",
        "cloud-drive",
        "文件备份与同步空间",
        _HOW_TO,
        (("CLOUD-M", "1 TB 月卡", 150_000), ("CLOUD-Y", "1 TB 年卡", 1_280_000)),
        batches=(),
    ),
)
