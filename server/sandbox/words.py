"""Every sentence people read, in 简体中文 (default) and English, and the choice between the two.

Used by `pages.py` (templates call `t("key")`), `own.py` (messages of refusals) and `app.py` (the command line).
"""

import re
from typing import Literal

Language = Literal["zh", "en"]

SENTENCES: dict[str, tuple[str, str]] = {
    # The buyer's page
    "checkout": ("沙箱收银台", "Sandbox checkout"),
    "test_mode": ("测试环境，不会真的扣款", "Test environment, no real money moves"),
    "amount_due": ("应付金额", "Amount due"),
    "merchant": ("商家", "Merchant"),
    "subject": ("商品", "Item"),
    "order_number": ("商户订单号", "Order no."),
    "trade_number": ("支付流水号", "Trade no."),
    "pay_before": ("支付截止", "Pay before"),
    "paid_at": ("支付时间", "Paid at"),
    "refunded": ("已退款", "Refunded"),
    "pay": ("确认付款", "Pay now"),
    "cancel": ("取消", "Cancel"),
    "insufficient": ("余额不足", "Balance too low"),
    "pay_again": ("再付一次", "Pay once more"),
    "pay_late": ("过期后付款", "Pay late"),
    "back_to_merchant": ("返回商家", "Back to the merchant"),
    "continue_paying": ("继续付款", "Continue to payment"),
    # The result page
    "title_paid": ("付款成功", "Payment complete"),
    "title_processing": ("正在处理付款", "Processing the payment"),
    "title_pending": ("尚未付款", "Not paid yet"),
    "title_closed": ("订单已关闭", "Payment closed"),
    "about_paid": ("商家会收到通知，可以放心返回。", "The merchant is being told. It is safe to go back."),
    "about_processing": ("结果稍后才知道，本页会自动刷新。", "The result comes later; this page refreshes itself."),
    "about_pending": (
        "没有扣款。可以继续付款，也可以返回商家。",
        "Nothing was charged. You can still pay, or go back.",
    ),
    "about_refused": (
        "余额不足，没有扣款。可以换一种方式继续付款。",
        "The balance is too low; nothing was charged. You can still pay.",
    ),
    "about_closed": (
        "付款已过期或被商家关闭，没有扣款。",
        "It expired or was closed by the merchant. Nothing was charged.",
    ),
    # The fault panel
    "faults": ("故障面板（测试人员用）", "Fault panel (for testers)"),
    "faults_about": (
        "留空表示正常。设置只对这一笔付款有效。",
        "Leave empty for normal behaviour. Settings apply to this payment only.",
    ),
    "more_faults": ("更多故障…", "More faults…"),
    "pay_with_faults": ("带故障付款", "Pay with these faults"),
    # The tester's page
    "panel": ("支付沙箱", "Payment sandbox"),
    "scan": ("扫码", "Scan"),
    "scan_about": ("粘贴二维码里的内容，代替手机扫码", "Paste what the QR code says, instead of scanning it"),
    "payments": ("最近的付款", "Latest payments"),
    "paid_again": ("重复付款", "paid again"),
    "no_payments": ("还没有商家下单。", "No merchant has ordered anything yet."),
    "faults_in_force": ("正在生效的故障", "Faults in force"),
    "no_faults": ("没有：一切正常。", "None: all is well."),
    "everywhere": ("所有渠道和商户", "All channels and merchants"),
    "end": ("结束", "End"),
    "end_all": ("全部结束", "End all of them"),
    "order_fault": ("制造故障", "Order a fault"),
    "fault": ("故障", "Fault"),
    "fault_value": ("数值", "Value"),
    "fault_scope": ("范围", "For whom"),
    "fault_call": ("只对接口", "In this call only"),
    "fault_times": ("生效次数", "So many times"),
    "any": ("不限", "any"),
    "fault_group_callback": ("通知的送达", "How notifications travel"),
    "fault_group_claims": ("通知的内容", "What notifications claim"),
    "fault_group_keys": ("密钥与时钟", "Keys and clocks"),
    "fault_group_answers": ("接口应答", "Answers to calls"),
    "fault_group_money": ("资金", "Money"),
    "fault_group_bills": ("账单", "Bills"),
    "notifications": ("最近的通知", "Latest notifications"),
    "no_notifications": ("还没有通知。", "No notifications yet."),
    "about_payment": ("付款", "payment"),
    "about_refund": ("退款", "refund"),
    "replay": ("重放", "Replay"),
    # The page of bills
    "bills": ("账单", "Bills"),
    "show": ("查看", "Show"),
    "bill_day": ("账期（北京时间）", "Day (Beijing)"),
    "bill_lines": ("这一天的明细", "Lines of the day"),
    "no_bill_lines": ("这一天没有交易。", "Nothing happened that day."),
    "bill_fee": ("手续费", "fee"),
    "bill_trades": ("下载交易账单", "Download the bill of trades"),
    "bill_funds": ("下载资金账单", "Download the bill of the account"),
    "bill_differences": ("埋下的差异", "Planted differences"),
    "no_bill_differences": ("没有：账单说的都是真的。", "None: the bills tell the truth."),
    "bill_difference": ("差异", "Difference"),
    "bill_number": ("商户订单号或退款号", "Order or refund no."),
    "bill_amount_fen": ("金额（分）", "Amount (fen)"),
    "plant": ("埋下差异", "Plant it"),
    "difference_missing": ("少一行", "Line missing"),
    "difference_extra": ("多一行", "Line that never was"),
    "difference_amount": ("金额不同", "Another amount"),
    "difference_fee": ("手续费不同", "Another fee"),
    "difference_state": ("状态不同", "Another state"),
    "difference_duplicate": ("重复一行", "Line twice"),
    "difference_other_day": ("记到次日", "On the next day"),
    # The delivery log
    "deliveries": ("通知记录（测试人员用）", "Callback log (for testers)"),
    "delivery_copy": ("第 {copy} 份", "Copy {copy}"),
    "delivery_attempts": ("已发送 {attempts} 次", "sent {attempts}×"),
    "delivery_held": ("攒着等倒序", "held back"),
    "delivery_waiting": ("等待发送", "waiting"),
    "delivery_acknowledged": ("商家已确认", "acknowledged"),
    "delivery_given_up": ("已放弃", "given up"),
    "delivery_dropped": ("已丢弃", "dropped"),
    "delivery_void": ("已作废", "void"),
    "delivery_next": ("下次 {at}", "next {at}"),
    "delivery_last": ("最近结果 {outcome}", "last result {outcome}"),
    "resend": ("补发通知", "Resend correctly"),
    "refresh": ("刷新", "Refresh"),
    # Pages that refuse
    "title_not_found": ("找不到这笔付款", "No such payment"),
    "about_not_found": ("链接不完整，或付款不在这个沙箱里。", "The link is incomplete, or belongs to another sandbox."),
    "title_other_site": ("请从沙箱自己的页面操作", "Use the sandbox's own pages"),
    "about_other_site": (
        "请求来自别的网站，或者用了别的域名访问。",
        "The request came from another site, or by another name than this machine's.",
    ),
    "title_token": ("需要测试人员令牌", "The testers' token is wanted"),
    "about_token": (
        "沙箱对外公开时，这些页面要令牌：见数据目录的 tester.token，用 ?token= 打开一次。",
        "A public sandbox asks for a token here: open this with ?token= and what tester.token (data folder) says.",
    ),
    "title_bad_form": ("无法提交", "Cannot submit this"),
    "about_bad_form": (
        "“{field}”的值不在允许范围内，请返回修改。",
        "“{field}” is out of range; go back and correct it.",
    ),
    "title_h5_expired": ("支付链接已过期", "The payment link has expired"),
    "about_h5_expired": (
        "h5_url 的有效期为 5 分钟，请返回商家重新发起支付。",
        "An h5_url is good for five minutes; go back to the merchant and start again.",
    ),
    "title_h5_no_referrer": ("商家参数格式有误", "The merchant's page is not set up for this"),
    "about_h5_no_referrer": (
        "请求没有 Referer：打开 h5_url 的页面不能隐藏来源。",
        "The request has no Referer: the page that opens an h5_url must not hide where it is.",
    ),
    "title_h5_inside_wechat": ("请在微信外打开", "Open this outside WeChat"),
    "about_h5_inside_wechat": (
        "H5 支付不能在微信内使用，请改用 JSAPI 支付。",
        "This way of paying does not work inside WeChat; use JSAPI there.",
    ),
    "title_h5_other_domain": ("商家存在未配置的参数", "The merchant's domain is not registered"),
    "about_h5_other_domain": (
        "redirect_url 的域名没有登记。",
        "The domain of redirect_url is not registered for this merchant.",
    ),
    "title_jsapi_expired": ("支付会话已过期", "The payment session has expired"),
    "about_jsapi_expired": (
        "prepay_id 的有效期为 2 小时，请重新下单。",
        "A prepay_id is good for two hours; order again.",
    ),
    "title_jsapi_unsigned": ("支付验证签名失败", "The page's signature does not hold"),
    "about_jsapi_unsigned": (
        "paySign 与 appId、timeStamp、nonceStr、package 不符，或 signType 不是 RSA。",
        "paySign does not fit appId, timeStamp, nonceStr and package, or signType is not RSA.",
    ),
    "title_jsapi_other_person": ("支付者与下单者不一致", "Another person ordered this"),
    "about_jsapi_other_person": (
        "下单时的 openid 不是这个微信用户的。",
        "The openid it was ordered with is not that of this user of WeChat.",
    ),
    "title_oauth_unusable": ("该链接无法访问", "This link cannot be opened"),
    "about_oauth_unusable": (
        "参数的名称、顺序或内容不对，或者 appid 没有登记。",
        "The parameters, their order or their content are wrong, or the appid is not registered.",
    ),
    "title_oauth_outside_wechat": ("请在微信客户端打开链接", "Open this link in WeChat"),
    "about_oauth_outside_wechat": ("浏览器不是微信。", "The browser is not WeChat."),
    "title_oauth_other_domain": ("redirect_uri 参数错误", "redirect_uri is wrong"),
    "about_oauth_other_domain": (
        "redirect_uri 的域名没有登记为网页授权域名（10003）。",
        "The domain of redirect_uri is not registered for web authorisation (10003).",
    ),
    "title_no_bill": ("没有账单", "No bill"),
    "about_no_bill": ("这一天没有交易，或地址不完整。", "Nothing happened that day, or the link is incomplete."),
    "title_wrong": ("沙箱出错了", "The sandbox failed"),
    "about_wrong": ("请稍后再试；详情在沙箱的日志里。", "Try again later; the details are in the sandbox's log."),
    # Refusals of the API
    "unknown_merchant": (
        "商户未登记，或登记的公钥不可用",
        "the merchant is not registered, or its public key is unusable",
    ),
    "bad_signature_headers": ("签名请求头缺失或格式不对", "the signature headers are missing or malformed"),
    "stale_timestamp": ("时间戳与沙箱时钟相差超过 300 秒", "the timestamp is more than 300 s off the sandbox's clock"),
    "bad_signature": ("验签失败", "the signature does not verify"),
    "nonce_used": ("随机串已被使用过", "the nonce was used before"),
    "bad_request": ("请求内容不合规：{detail}", "the request is not acceptable: {detail}"),
    "foreign_merchant": ("merchant_id 与签名商户不一致", "merchant_id is not the merchant that signed"),
    "expired_already": ("expires_at 已经过去", "expires_at is in the past"),
    "payment_not_found": ("没有这笔付款", "no such payment"),
    "refund_not_found": ("没有这笔退款", "no such refund"),
    "no_such_address": ("没有这个接口", "no such address"),
    "wrong_method": ("不支持这个请求方法", "this method is not allowed here"),
    "too_large": ("请求太大", "the request is too large"),
    "out_trade_no_used": ("该订单号已用于另一笔付款", "this out_trade_no was used for another payment"),
    "out_refund_no_used": ("该退款号已用于另一笔退款", "this out_refund_no was used for another refund"),
    "already_paid": ("已经付款，不能关闭", "it is paid and cannot be closed"),
    "not_paid": ("还没有付款，不能退款", "it is not paid and cannot be refunded"),
    "amount_exceeded": ("退款总额超过已付金额", "the refunds would exceed what was paid"),
    "balance_too_low": ("商户余额不足，不能退款", "the merchant's balance does not cover the refund"),
    "internal_error": ("沙箱内部错误", "the sandbox failed"),
    # The command line
    "not_loopback": (
        "沙箱只供测试，不会监听 {host}：那不是本机回环地址。确需如此，请加 --allow-public。",
        "The sandbox is for tests and will not listen on {host}: not a loopback address. Add --allow-public to insist.",
    ),
    "port_taken": (
        "端口 {port} 已被其他程序占用，请用 --port 换一个。",
        "Port {port} is taken by another program; choose another with --port.",
    ),
    "cannot_listen": ("无法监听 {host}:{port}：{detail}", "Cannot listen on {host}:{port}: {detail}"),
    "folder_unusable": ("数据目录 {folder} 无法使用：{detail}", "The data folder {folder} cannot be used: {detail}"),
    "folder_in_use": (
        "另一个沙箱正在使用数据目录 {folder}。",
        "Another sandbox is using the data folder {folder}.",
    ),
    "live_keys": (
        "{path} 里有真实商户的密钥或商户号。沙箱只认沙箱商户，请把它移走。",
        "{path} holds a key or a number of a real merchant. The sandbox takes sandbox merchants only; move it away.",
    ),
    "store_too_new": (
        "数据目录 {folder} 由更新版本的沙箱写成，请升级后再用。",
        "The data folder {folder} was written by a later version of the sandbox; upgrade to use it.",
    ),
    "store_damaged": (
        "数据文件 {path} 已损坏：{detail}。请恢复备份，或移走它重新开始。",
        "The data file {path} is damaged: {detail}. Restore a backup, or move it away to start afresh.",
    ),
}

_LANGUAGE_RANGE = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]{1,40})?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*")


def choose_language(accept_language: str) -> Language:
    """Return the language an `Accept-Language` header wants: English only when it is asked for before Chinese."""
    weights: dict[str, float] = {}
    for part in accept_language[:500].split(","):
        matched = _LANGUAGE_RANGE.fullmatch(part)
        if matched:
            primary = matched.group(1).lower()
            weights[primary] = max(weights.get(primary, 0.0), float(matched.group(2) or 1))
    return "en" if weights.get("en", 0.0) > weights.get("zh", 0.0) else "zh"


def sentence(key: str, language: Language, **values: object) -> str:
    """Return a sentence with its values filled in. KeyError for an unknown key: that is a mistake of ours."""
    chinese, english = SENTENCES[key]
    return (english if language == "en" else chinese).format(**values)
