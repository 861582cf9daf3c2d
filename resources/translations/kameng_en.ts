<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="zh_CN">
<context>
    <name>AccountsPage</name>
    <message>
        <source>每个账户现在的余额；选一个账户看它某天的每一笔</source>
        <translation>Every account&apos;s balance now; choose one to see its book of a day</translation>
    </message>
    <message>
        <source>账户列表</source>
        <translation>Accounts</translation>
    </message>
    <message>
        <source>账户</source>
        <translation>Account</translation>
    </message>
    <message>
        <source>余额</source>
        <translation>Balance</translation>
    </message>
    <message>
        <source>借方</source>
        <translation>Debit</translation>
    </message>
    <message>
        <source>贷方</source>
        <translation>Credit</translation>
    </message>
    <message>
        <source>还没有账户</source>
        <translation>No accounts yet</translation>
    </message>
    <message>
        <source>第一笔收款之后，账户会出现在这里。</source>
        <translation>They appear with the first payment.</translation>
    </message>
    <message>
        <source>账户的每一笔</source>
        <translation>The account&apos;s book</translation>
    </message>
    <message>
        <source>这一天没有发生额</source>
        <translation>Nothing on this day</translation>
    </message>
    <message>
        <source>换一天看看。</source>
        <translation>Try another day.</translation>
    </message>
    <message>
        <source>账户的每日结余</source>
        <translation>The account, day by day</translation>
    </message>
    <message>
        <source>还没有结账的日子</source>
        <translation>No day was closed yet</translation>
    </message>
    <message>
        <source>一天过完并核对之后，它的结余会出现在这里。</source>
        <translation>A day is here once it is over and was checked.</translation>
    </message>
    <message>
        <source>账簿日期</source>
        <translation>Day of the book</translation>
    </message>
    <message>
        <source>每一笔</source>
        <translation>Each line</translation>
    </message>
    <message>
        <source>每日结余</source>
        <translation>Each day</translation>
    </message>
    <message>
        <source>每一笔或每日结余</source>
        <translation>Each line, or each day</translation>
    </message>
    <message>
        <source>日期</source>
        <translation>Day</translation>
    </message>
    <message>
        <source>期初</source>
        <translation>Opening</translation>
    </message>
    <message>
        <source>期末</source>
        <translation>Closing</translation>
    </message>
    <message>
        <source>时间</source>
        <translation>Time</translation>
    </message>
    <message>
        <source>事项</source>
        <translation>What</translation>
    </message>
    <message>
        <source>对方账户</source>
        <translation>Other account</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
</context>
<context>
    <name>ActBar</name>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>确定</source>
        <translation>Confirm</translation>
    </message>
    <message>
        <source>正在处理…</source>
        <translation>Working…</translation>
    </message>
    <message>
        <source>确定{what}</source>
        <translation>Confirm: {what}</translation>
    </message>
</context>
<context>
    <name>AdjustmentsPage</name>
    <message>
        <source>账错了才手工调：一人提出，另一人复核才入账</source>
        <translation>Corrections by hand: proposed by one, posted by another</translation>
    </message>
    <message>
        <source>调账列表</source>
        <translation>Adjustments</translation>
    </message>
    <message>
        <source>没有调账</source>
        <translation>No adjustments</translation>
    </message>
    <message>
        <source>需要更正账目时，点“提出调账”。</source>
        <translation>Press “Propose” when the books need a correction.</translation>
    </message>
    <message>
        <source>提出调账</source>
        <translation>Propose</translation>
    </message>
    <message>
        <source>借方 ← 贷方</source>
        <translation>Debit ← credit</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>工单</source>
        <translation>Ticket</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>提出人</source>
        <translation>Proposed by</translation>
    </message>
    <message>
        <source>提出时间</source>
        <translation>Proposed</translation>
    </message>
</context>
<context>
    <name>AlertsPage</name>
    <message>
        <source>库存预警</source>
        <translation>Stock alerts</translation>
    </message>
    <message>
        <source>当前</source>
        <translation>Now</translation>
    </message>
    <message>
        <source>历史</source>
        <translation>History</translation>
    </message>
    <message>
        <source>当前或历史</source>
        <translation>Now or history</translation>
    </message>
    <message>
        <source>当前预警</source>
        <translation>Standing alerts</translation>
    </message>
    <message>
        <source>每天可能损失</source>
        <translation>At stake a day</translation>
    </message>
    <message>
        <source>没有预警</source>
        <translation>No alerts</translation>
    </message>
    <message>
        <source>每个规格的库存都够卖。</source>
        <translation>Every SKU has enough in stock.</translation>
    </message>
    <message>
        <source>历史预警</source>
        <translation>Past alerts</translation>
    </message>
    <message>
        <source>解除时间</source>
        <translation>Cleared</translation>
    </message>
    <message>
        <source>还没有过预警</source>
        <translation>There were no alerts yet</translation>
    </message>
    <message>
        <source>看库存</source>
        <translation>Open stock</translation>
    </message>
    <message>
        <source>立即补货</source>
        <translation>Import now</translation>
    </message>
    <message>
        <source>预警规则</source>
        <translation>Alert rule</translation>
    </message>
    <message>
        <source>标记已处理</source>
        <translation>Mark as done</translation>
    </message>
    <message>
        <source>按每天可能损失的金额排列，合计 {loss}</source>
        <translation>Ranked by what a day may cost, {loss} in all</translation>
    </message>
    <message>
        <source>哪些快卖完、快过期，或不对劲</source>
        <translation>What runs out, expires, or looks wrong</translation>
    </message>
    <message>
        <source>“{name}”的预警已处理</source>
        <translation>The alert of “{name}” is done</translation>
    </message>
    <message>
        <source>{name} 的预警规则已保存</source>
        <translation>The alert rule of {name} is saved</translation>
    </message>
    <message>
        <source>{name}：{kind}</source>
        <translation>{name}: {kind}</translation>
    </message>
    <message>
        <source>、</source>
        <translation>, </translation>
    </message>
    <message numerus="yes">
        <source>%n 个新的库存预警：{names}</source>
        <translation>
            <numerusform>%n new stock alert: {names}</numerusform>
            <numerusform>%n new stock alerts: {names}</numerusform>
        </translation>
    </message>
    <message>
        <source>查看</source>
        <translation>Show</translation>
    </message>
    <message>
        <source>预警</source>
        <translation>Alert</translation>
    </message>
    <message>
        <source>规格</source>
        <translation>SKU</translation>
    </message>
    <message>
        <source>编码</source>
        <translation>Code</translation>
    </message>
    <message>
        <source>情况</source>
        <translation>What is the matter</translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>开始时间</source>
        <translation>Since</translation>
    </message>
</context>
<context>
    <name>Arrived</name>
    <message>
        <source>应结与到账</source>
        <translation>Owed and arrived</translation>
    </message>
    <message>
        <source>应结净额（入账 − 手续费）</source>
        <translation>Net to be paid out (credited − fees)</translation>
    </message>
    <message>
        <source>更正（调账、流水、迟到账单）</source>
        <translation>Corrected (adjustments, movements, late bills)</translation>
    </message>
    <message>
        <source>已到银行</source>
        <translation>Arrived in the bank</translation>
    </message>
    <message>
        <source>差</source>
        <translation>Off by</translation>
    </message>
    <message>
        <source>已全部到账</source>
        <translation>All of it has arrived</translation>
    </message>
    <message numerus="yes">
        <source>外来单 %n 笔 {money}：同一商户号下其他业务的钱，在账单里，不计入应结</source>
        <translation>
            <numerusform>%n of another business, {money}: in the bill under the same merchant number, no part of the net</numerusform>
            <numerusform>%n of other businesses, {money}: in the bill under the same merchant number, no part of the net</numerusform>
        </translation>
    </message>
    <message>
        <source>还没有登记到账</source>
        <translation>No arrival recorded yet</translation>
    </message>
    <message>
        <source>{when} 到账，流水号 {number}，{who} 登记</source>
        <translation>arrived {when}, number {number}, recorded by {who}</translation>
    </message>
    <message>
        <source>分到 {days}</source>
        <translation>shared: {days}</translation>
    </message>
    <message>
        <source>对应提现 {number}</source>
        <translation>withdrawal {number}</translation>
    </message>
    <message>
        <source>其中 {money} 属于其他业务</source>
        <translation>{money} of it are others&apos;</translation>
    </message>
    <message>
        <source>{who} 复核</source>
        <translation>approved by {who}</translation>
    </message>
    <message>
        <source>{who} 冲销</source>
        <translation>reversed by {who}</translation>
    </message>
    <message>
        <source>{who} 复核冲销</source>
        <translation>reversal approved by {who}</translation>
    </message>
    <message>
        <source>比现在还差的多 {money}</source>
        <translation>{money} more than is short now</translation>
    </message>
</context>
<context>
    <name>BooksView</name>
    <message>
        <source>当天的数字</source>
        <translation>Figures of the day</translation>
    </message>
    <message>
        <source>收款</source>
        <translation>Received</translation>
    </message>
    <message>
        <source>已发货</source>
        <translation>Delivered</translation>
    </message>
    <message>
        <source>供应商所得</source>
        <translation>Supplier&apos;s share</translation>
    </message>
    <message>
        <source>平台服务费</source>
        <translation>Platform fee</translation>
    </message>
    <message>
        <source>总账各科目发生额</source>
        <translation>Ledger by account</translation>
    </message>
    <message>
        <source>签署前的核对</source>
        <translation>Before you sign</translation>
    </message>
    <message>
        <source>笔数与卡密</source>
        <translation>Counts</translation>
    </message>
    <message>
        <source>下单</source>
        <translation>Placed</translation>
    </message>
    <message>
        <source>支付</source>
        <translation>Paid</translation>
    </message>
    <message>
        <source>发货</source>
        <translation>Delivered</translation>
    </message>
    <message>
        <source>入库卡密</source>
        <translation>Keys imported</translation>
    </message>
    <message>
        <source>售出卡密</source>
        <translation>Keys sold</translation>
    </message>
    <message>
        <source>退回卡密</source>
        <translation>Keys returned</translation>
    </message>
    <message>
        <source>补发卡密</source>
        <translation>Keys sent as replacements</translation>
    </message>
    <message>
        <source>总账借贷平衡</source>
        <translation>The ledger balances</translation>
    </message>
    <message>
        <source>总账借贷不平</source>
        <translation>The ledger does not balance</translation>
    </message>
    <message>
        <source>发货额 + 优惠 = 供应商所得 + 佣金 + 服务费</source>
        <translation>Delivered + discounts = suppliers + commissions + fees</translation>
    </message>
    <message>
        <source>发货额加优惠与分账之和不等</source>
        <translation>Delivered and discounts are not the sum of the shares</translation>
    </message>
    <message>
        <source>收到的钱都已发货</source>
        <translation>All money received was delivered</translation>
    </message>
    <message>
        <source>收款与发货不等：有跨日或未发货的订单</source>
        <translation>Received differs from delivered: orders over midnight, or undelivered</translation>
    </message>
    <message>
        <source>没有待处理的异常</source>
        <translation>No open exceptions</translation>
    </message>
    <message>
        <source>有异常等待处理</source>
        <translation>Exceptions are waiting</translation>
    </message>
    <message>
        <source>科目</source>
        <translation>Account</translation>
    </message>
    <message>
        <source>借方发生额</source>
        <translation>Debits</translation>
    </message>
    <message>
        <source>贷方发生额</source>
        <translation>Credits</translation>
    </message>
</context>
<context>
    <name>ChannelCard</name>
    <message>
        <source>渠道收款</source>
        <translation>Received by the channel</translation>
    </message>
    <message numerus="yes">
        <source>此前 %n 天未到账，还差 {money}</source>
        <translation>
            <numerusform>%n day before waits for its money, {money} short</numerusform>
            <numerusform>%n days before wait for their money, {money} short</numerusform>
        </translation>
    </message>
    <message>
        <source>最久已等 {days} 天</source>
        <translation>the longest for {days} days</translation>
    </message>
    <message>
        <source>账单有问题</source>
        <translation>Trouble with a bill</translation>
    </message>
    <message numerus="yes">
        <source>缺 %n 份账单</source>
        <translation>
            <numerusform>%n bill missing</numerusform>
            <numerusform>%n bills missing</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n 条差异未处理</source>
        <translation>
            <numerusform>%n difference open</numerusform>
            <numerusform>%n differences open</numerusform>
        </translation>
    </message>
    <message>
        <source>还没有对账</source>
        <translation>Not reconciled yet</translation>
    </message>
    <message>
        <source>没有待处理的差异</source>
        <translation>No open differences</translation>
    </message>
</context>
<context>
    <name>ChannelsPage</name>
    <message>
        <source>支付渠道</source>
        <translation>Channels</translation>
    </message>
    <message>
        <source>停用只影响新的付款：已发起的付款、通知和退款照常处理</source>
        <translation>Off concerns new payments only: open ones, notifications and refunds go on</translation>
    </message>
    <message>
        <source>渠道列表</source>
        <translation>List of channels</translation>
    </message>
    <message>
        <source>还没有支付渠道</source>
        <translation>No payment channel yet</translation>
    </message>
    <message>
        <source>由管理员在服务器上用 kameng-server keys 配置。</source>
        <translation>An administrator sets them up on the server with kameng-server keys.</translation>
    </message>
    <message>
        <source>；</source>
        <translation>; </translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>未完成</source>
        <translation>Open</translation>
    </message>
    <message>
        <source>待确认</source>
        <translation>Unknown</translation>
    </message>
    <message>
        <source>账单</source>
        <translation>Bills</translation>
    </message>
    <message>
        <source>近 24 小时得知方式</source>
        <translation>Learnt of in 24 h</translation>
    </message>
    <message>
        <source>时钟相差</source>
        <translation>Clock off by</translation>
    </message>
    <message>
        <source>没有回应</source>
        <translation>No answer since</translation>
    </message>
    <message>
        <source>最近启停</source>
        <translation>Last switched</translation>
    </message>
</context>
<context>
    <name>CheckSheet</name>
    <message>
        <source>检查文件</source>
        <translation>Check the file</translation>
    </message>
    <message>
        <source>仍要导入</source>
        <translation>Import anyway</translation>
    </message>
    <message>
        <source>不能导入的行</source>
        <translation>Rows that cannot be imported</translation>
    </message>
    <message>
        <source>导入到哪个规格</source>
        <translation>Import into which SKU</translation>
    </message>
    <message>
        <source>选择规格，可输入筛选</source>
        <translation>Choose a SKU; type to filter</translation>
    </message>
    <message>
        <source>需要您决定</source>
        <translation>Your decision</translation>
    </message>
    <message>
        <source>位数不足的数字原样导入（不勾选则拒绝这些行）</source>
        <translation>Import numbers that are too short as they are (unticked: refuse those lines)</translation>
    </message>
    <message>
        <source>隐藏的行也导入（不勾选则跳过）</source>
        <translation>Import hidden rows too (unticked: skip them)</translation>
    </message>
    <message>
        <source>自动修整：去首尾空白与不可见字符、全角转半角（逐项计数）</source>
        <translation>Tidy up: trim, drop invisible characters, full-width to half-width (each is counted)</translation>
    </message>
    <message>
        <source>Enter 或 Ctrl+Enter</source>
        <translation>Enter or Ctrl+Enter</translation>
    </message>
    <message>
        <source>正在看文件的内容…</source>
        <translation>Looking into the file…</translation>
    </message>
    <message>
        <source>这个文件读不了</source>
        <translation>This file cannot be read</translation>
    </message>
    <message>
        <source>上面写了原因和办法。</source>
        <translation>The reason and a remedy are above.</translation>
    </message>
    <message>
        <source>上面写了原因和办法；也可以换一种编码再看 (Ctrl+E)。</source>
        <translation>The reason and a remedy are above; you can also try another encoding (Ctrl+E).</translation>
    </message>
    <message>
        <source>列同上次导入</source>
        <translation>columns as in the last import</translation>
    </message>
    <message>
        <source>按商品的卡密格式检查</source>
        <translation>tested by the product&apos;s key rule</translation>
    </message>
    <message>
        <source>行</source>
        <translation>Line</translation>
    </message>
    <message>
        <source>单元格</source>
        <translation>Cell</translation>
    </message>
    <message>
        <source>结果</source>
        <translation>Result</translation>
    </message>
    <message>
        <source>卡密（已遮盖）</source>
        <translation>Key (covered)</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>；</source>
        <translation>; </translation>
    </message>
    <message numerus="yes">
        <source>预览中有 %n 行不能导入：{why}。</source>
        <translation>
            <numerusform>%n line of the preview cannot be imported: {why}.</numerusform>
            <numerusform>%n lines of the preview cannot be imported: {why}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>有 %n 行不能导入：{why}。</source>
        <translation>
            <numerusform>%n line cannot be imported: {why}.</numerusform>
            <numerusform>%n lines cannot be imported: {why}.</numerusform>
        </translation>
    </message>
    <message>
        <source>正在开始…</source>
        <translation>Starting…</translation>
    </message>
    <message>
        <source>开始导入</source>
        <translation>Start import</translation>
    </message>
    <message>
        <source>先选择规格</source>
        <translation>Choose a SKU first</translation>
    </message>
    <message>
        <source>跳过这个文件</source>
        <translation>Skip this file</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>约 {rows} 行</source>
        <translation>about {rows} rows</translation>
    </message>
</context>
<context>
    <name>CheckedRows</name>
    <message>
        <source>检查进度</source>
        <translation>Progress of the check</translation>
    </message>
    <message>
        <source>文件的账：读取等于各项之和</source>
        <translation>The file&apos;s sum: read equals all parts</translation>
    </message>
    <message>
        <source>自动修整（取消勾选，则不导入需要它的行）</source>
        <translation>Repairs (uncheck one to leave out the rows that need it)</translation>
    </message>
    <message>
        <source>正在检查每一行（{percent}），不必等它，可以直接开始导入</source>
        <translation>Checking every row ({percent}); no need to wait, the import can begin now</translation>
    </message>
    <message>
        <source>读取</source>
        <translation>Read</translation>
    </message>
    <message>
        <source>可导入</source>
        <translation>Valid</translation>
    </message>
    <message>
        <source>重复</source>
        <translation>Duplicates</translation>
    </message>
    <message>
        <source>拒绝</source>
        <translation>Refused</translation>
    </message>
    <message>
        <source>跳过</source>
        <translation>Skipped</translation>
    </message>
    <message>
        <source>{rows} 行（{where}）</source>
        <translation>{rows} rows ({where})</translation>
    </message>
</context>
<context>
    <name>CloseView</name>
    <message>
        <source>日结</source>
        <translation>Close</translation>
    </message>
    <message>
        <source>获取账单</source>
        <translation>Fetch bills</translation>
    </message>
    <message>
        <source>对账</source>
        <translation>Reconcile</translation>
    </message>
    <message>
        <source>登记到账…</source>
        <translation>Record an arrival…</translation>
    </message>
    <message>
        <source>更正…</source>
        <translation>Correct…</translation>
    </message>
    <message>
        <source>签署…</source>
        <translation>Sign…</translation>
    </message>
    <message>
        <source>正在获取…</source>
        <translation>Fetching…</translation>
    </message>
    <message>
        <source>正在对账…</source>
        <translation>Reconciling…</translation>
    </message>
    <message>
        <source>还不能签署：{why}</source>
        <translation>Cannot be signed yet: {why}</translation>
    </message>
    <message>
        <source>正在读取…</source>
        <translation>Reading…</translation>
    </message>
    <message>
        <source>这一天没有可对的渠道</source>
        <translation>No channel to reconcile on this day</translation>
    </message>
    <message>
        <source>渠道第二天上午出账单；也可以把账单文件直接拖到窗口上。</source>
        <translation>Channels make their bills the next morning; bill files can also be dropped on the window.</translation>
    </message>
</context>
<context>
    <name>Commands</name>
    <message>
        <source>转到：导入卡密</source>
        <translation>Go to: Import keys</translation>
    </message>
    <message>
        <source>转到：商品</source>
        <translation>Go to: Products</translation>
    </message>
    <message>
        <source>转到：库存</source>
        <translation>Go to: Stock</translation>
    </message>
    <message>
        <source>转到：库存预警</source>
        <translation>Go to: stock alerts</translation>
    </message>
    <message>
        <source>转到：订单</source>
        <translation>Go to: Orders</translation>
    </message>
    <message>
        <source>转到：异常款项</source>
        <translation>Go to: Exceptions</translation>
    </message>
    <message>
        <source>转到：退款</source>
        <translation>Go to: Refunds</translation>
    </message>
    <message>
        <source>转到：支付渠道</source>
        <translation>Go to: Channels</translation>
    </message>
    <message>
        <source>转到：对账</source>
        <translation>Go to: Reconciliation</translation>
    </message>
    <message>
        <source>转到：结算</source>
        <translation>Go to: Settlement</translation>
    </message>
    <message>
        <source>转到：账簿</source>
        <translation>Go to: Ledger</translation>
    </message>
    <message>
        <source>选择文件导入…</source>
        <translation>Choose files to import…</translation>
    </message>
    <message>
        <source>粘贴卡密导入</source>
        <translation>Import pasted keys</translation>
    </message>
    <message>
        <source>开始导入</source>
        <translation>Start import</translation>
    </message>
    <message>
        <source>换一种编码预览</source>
        <translation>Preview in another encoding</translation>
    </message>
    <message>
        <source>换一种分隔符预览</source>
        <translation>Preview with the next separator</translation>
    </message>
    <message>
        <source>下载导入模板…</source>
        <translation>Save an import template…</translation>
    </message>
    <message>
        <source>取消导入</source>
        <translation>Cancel import</translation>
    </message>
    <message>
        <source>导出问题行</source>
        <translation>Export the lines left out</translation>
    </message>
    <message>
        <source>新建商品</source>
        <translation>New product</translation>
    </message>
    <message>
        <source>上架所选商品</source>
        <translation>Publish the selected product</translation>
    </message>
    <message>
        <source>下架所选商品</source>
        <translation>Take the selected product off sale</translation>
    </message>
    <message>
        <source>修改所选商品的卡密规则</source>
        <translation>Change the key rules of the selected product</translation>
    </message>
    <message>
        <source>复制订单号</source>
        <translation>Copy order code</translation>
    </message>
    <message>
        <source>向渠道查询这张订单的付款</source>
        <translation>Ask the channel whether this order was paid</translation>
    </message>
    <message>
        <source>提议确认这张订单已付款</source>
        <translation>Propose to confirm that this order was paid</translation>
    </message>
    <message>
        <source>退还这张订单的钱</source>
        <translation>Refund this order</translation>
    </message>
    <message>
        <source>暂缓这张订单的结算</source>
        <translation>Hold this order&apos;s settlement</translation>
    </message>
    <message>
        <source>差异</source>
        <translation>Differences</translation>
    </message>
    <message>
        <source>结算</source>
        <translation>Settlement</translation>
    </message>
    <message>
        <source>账簿</source>
        <translation>Ledger</translation>
    </message>
    <message>
        <source>前一天</source>
        <translation>Previous day</translation>
    </message>
    <message>
        <source>后一天</source>
        <translation>Next day</translation>
    </message>
    <message>
        <source>去最早没有签署的一天</source>
        <translation>Go to the first day that is not signed</translation>
    </message>
    <message>
        <source>上一个渠道</source>
        <translation>Previous channel</translation>
    </message>
    <message>
        <source>下一个渠道</source>
        <translation>Next channel</translation>
    </message>
    <message>
        <source>看日结</source>
        <translation>Show the close</translation>
    </message>
    <message>
        <source>看差异</source>
        <translation>Show the differences</translation>
    </message>
    <message>
        <source>看当日账目</source>
        <translation>Show the day&apos;s books</translation>
    </message>
    <message>
        <source>添加渠道账单…</source>
        <translation>Add bills of a channel…</translation>
    </message>
    <message>
        <source>向渠道获取缺少的账单</source>
        <translation>Fetch missing bills from the channel</translation>
    </message>
    <message>
        <source>登记渠道结算到账…</source>
        <translation>Record an arrival in the bank…</translation>
    </message>
    <message>
        <source>签署当日对账…</source>
        <translation>Sign the day…</translation>
    </message>
    <message>
        <source>更正已签署的一天…</source>
        <translation>Correct a signed day…</translation>
    </message>
    <message>
        <source>导出对账工作簿</source>
        <translation>Export workbook</translation>
    </message>
    <message>
        <source>导出财务工作簿…</source>
        <translation>Export the finance workbook…</translation>
    </message>
    <message>
        <source>核验导出的工作簿…</source>
        <translation>Verify an exported workbook…</translation>
    </message>
    <message>
        <source>同意这条差异的处理</source>
        <translation>Approve what is decided about the difference</translation>
    </message>
    <message>
        <source>退回这条差异的处理</source>
        <translation>Send the difference back</translation>
    </message>
    <message>
        <source>查单后给这笔钱补单发货</source>
        <translation>Ask the channel, then deliver</translation>
    </message>
    <message>
        <source>退还这条差异的钱</source>
        <translation>Refund the money of the difference</translation>
    </message>
    <message>
        <source>把这条差异的钱归入订单</source>
        <translation>Attach the money of the difference to an order</translation>
    </message>
    <message>
        <source>按渠道账单调账</source>
        <translation>Book what the bill says</translation>
    </message>
    <message>
        <source>把这条差异挂账</source>
        <translation>Carry the difference over</translation>
    </message>
    <message>
        <source>核销这条差异</source>
        <translation>Write the difference off</translation>
    </message>
    <message>
        <source>忽略这条差异</source>
        <translation>Ignore the difference</translation>
    </message>
    <message>
        <source>选择筛选出的全部差异</source>
        <translation>Select all the differences that are listed</translation>
    </message>
    <message>
        <source>查看这条差异的订单</source>
        <translation>See the order of the difference</translation>
    </message>
    <message>
        <source>查看这条差异的异常款项</source>
        <translation>See the exception of the difference</translation>
    </message>
    <message>
        <source>刷新</source>
        <translation>Refresh</translation>
    </message>
    <message>
        <source>筛选</source>
        <translation>Filter</translation>
    </message>
    <message>
        <source>命令面板</source>
        <translation>Command palette</translation>
    </message>
    <message>
        <source>快捷键一览</source>
        <translation>Keyboard shortcuts</translation>
    </message>
    <message>
        <source>浅色主题</source>
        <translation>Light theme</translation>
    </message>
    <message>
        <source>深色主题</source>
        <translation>Dark theme</translation>
    </message>
    <message>
        <source>主题跟随系统</source>
        <translation>Theme follows the system</translation>
    </message>
    <message>
        <source>切换到简体中文</source>
        <translation>Switch to 简体中文</translation>
    </message>
    <message>
        <source>切换到 English</source>
        <translation>Switch to English</translation>
    </message>
    <message>
        <source>退出登录</source>
        <translation>Sign out</translation>
    </message>
    <message>
        <source>退出卡盟</source>
        <translation>Quit Kameng</translation>
    </message>
    <message>
        <source>去哪里</source>
        <translation>Go to</translation>
    </message>
    <message>
        <source>导入</source>
        <translation>Import</translation>
    </message>
    <message>
        <source>商品</source>
        <translation>Products</translation>
    </message>
    <message>
        <source>库存</source>
        <translation>Stock</translation>
    </message>
    <message>
        <source>库存预警</source>
        <translation>Stock alerts</translation>
    </message>
    <message>
        <source>订单</source>
        <translation>Orders</translation>
    </message>
    <message>
        <source>异常款项</source>
        <translation>Exceptions</translation>
    </message>
    <message>
        <source>退款</source>
        <translation>Refunds</translation>
    </message>
    <message>
        <source>支付渠道</source>
        <translation>Channels</translation>
    </message>
    <message>
        <source>对账</source>
        <translation>Reconciliation</translation>
    </message>
    <message>
        <source>列表</source>
        <translation>Lists</translation>
    </message>
    <message>
        <source>窗口</source>
        <translation>Window</translation>
    </message>
    <message>
        <source>按卡密查找库存</source>
        <translation>Find keys in stock</translation>
    </message>
    <message>
        <source>导入到所选规格</source>
        <translation>Import into the selected SKU</translation>
    </message>
    <message>
        <source>设置所选规格的预警规则</source>
        <translation>Set the alert rule of the selected SKU</translation>
    </message>
    <message>
        <source>冻结所选批次</source>
        <translation>Freeze the selected lot</translation>
    </message>
    <message>
        <source>解冻所选批次</source>
        <translation>Release the selected lot</translation>
    </message>
    <message>
        <source>撤回所选批次</source>
        <translation>Withdraw the selected lot</translation>
    </message>
    <message>
        <source>撤回整个文件</source>
        <translation>Withdraw the whole file</translation>
    </message>
    <message>
        <source>复制所选批次的编号</source>
        <translation>Copy the selected lot&apos;s id</translation>
    </message>
    <message>
        <source>作废所选卡密</source>
        <translation>Void the selected keys</translation>
    </message>
    <message>
        <source>查看所选卡密的明文</source>
        <translation>Reveal the selected key</translation>
    </message>
    <message>
        <source>查看预警规格的库存</source>
        <translation>Open the stock of the alert</translation>
    </message>
    <message>
        <source>为预警规格补货</source>
        <translation>Import for the alert</translation>
    </message>
    <message>
        <source>修改预警规则</source>
        <translation>Change the alert rule</translation>
    </message>
    <message>
        <source>标记预警已处理</source>
        <translation>Mark the alert as done</translation>
    </message>
    <message>
        <source>同意这条异常的处理提议</source>
        <translation>Approve what was proposed for this exception</translation>
    </message>
    <message>
        <source>退回或撤回处理提议</source>
        <translation>Send back or take back a proposal</translation>
    </message>
    <message>
        <source>提议给这笔钱补发卡密</source>
        <translation>Propose to deliver for this money</translation>
    </message>
    <message>
        <source>提议退还这笔钱</source>
        <translation>Propose to refund this money</translation>
    </message>
    <message>
        <source>提议把这笔钱归入订单</source>
        <translation>Propose to attach this money to an order</translation>
    </message>
    <message>
        <source>就这条异常再问一次渠道</source>
        <translation>Ask the channel again about this exception</translation>
    </message>
    <message>
        <source>提议确认这笔钱已到账</source>
        <translation>Propose to confirm that this money came</translation>
    </message>
    <message>
        <source>提议登记已在渠道退的款</source>
        <translation>Propose to record a refund made at the channel</translation>
    </message>
    <message>
        <source>关闭这条异常</source>
        <translation>Close this exception</translation>
    </message>
    <message>
        <source>查看这条异常的订单</source>
        <translation>See this exception&apos;s order</translation>
    </message>
    <message>
        <source>待我处理的退款</source>
        <translation>Refunds that wait for me</translation>
    </message>
    <message>
        <source>供应商同意退款</source>
        <translation>Supplier: agree to the refund</translation>
    </message>
    <message>
        <source>供应商补发新卡密</source>
        <translation>Supplier: replace the key</translation>
    </message>
    <message>
        <source>供应商不同意退款</source>
        <translation>Supplier: refuse the refund</translation>
    </message>
    <message>
        <source>裁定退款</source>
        <translation>Decide: refund</translation>
    </message>
    <message>
        <source>裁定补发新卡密</source>
        <translation>Decide: replace the key</translation>
    </message>
    <message>
        <source>裁定不退款</source>
        <translation>Decide: no refund</translation>
    </message>
    <message>
        <source>退款复核通过</source>
        <translation>Check: let the refund go</translation>
    </message>
    <message>
        <source>退款复核不通过</source>
        <translation>Check: stop the refund</translation>
    </message>
    <message>
        <source>再次提交退款到渠道</source>
        <translation>Send the refund to its channel again</translation>
    </message>
    <message>
        <source>查看这笔退款的订单</source>
        <translation>See this refund&apos;s order</translation>
    </message>
    <message>
        <source>启用或停用所选支付渠道</source>
        <translation>Switch the selected channel on or off</translation>
    </message>
    <message>
        <source>看结算单</source>
        <translation>Show the statements</translation>
    </message>
    <message>
        <source>看应结</source>
        <translation>Show what is due</translation>
    </message>
    <message>
        <source>看打款</source>
        <translation>Show the payouts</translation>
    </message>
    <message>
        <source>看暂缓</source>
        <translation>Show the holds</translation>
    </message>
    <message>
        <source>看结算条件</source>
        <translation>Show the terms of settlement</translation>
    </message>
    <message>
        <source>看费率规则</source>
        <translation>Show the rules of fees</translation>
    </message>
    <message>
        <source>看工作日历</source>
        <translation>Show the working days</translation>
    </message>
    <message>
        <source>修改供应商的结算条件…</source>
        <translation>Agree on other terms with a supplier…</translation>
    </message>
    <message>
        <source>新增费率规则…</source>
        <translation>Make a rule of fees…</translation>
    </message>
    <message>
        <source>录入假日或调休…</source>
        <translation>Enter holidays or working weekends…</translation>
    </message>
    <message>
        <source>放行暂缓的结算</source>
        <translation>Let go of what is held</translation>
    </message>
    <message>
        <source>生成今天的结算单</source>
        <translation>Make today&apos;s statements</translation>
    </message>
    <message>
        <source>暂缓所选订单或供应商的结算</source>
        <translation>Hold the settlement of the selected order or supplier</translation>
    </message>
    <message>
        <source>看应结的上期结转从哪里来</source>
        <translation>See what will be from before</translation>
    </message>
    <message>
        <source>确认结算单</source>
        <translation>Confirm the statement</translation>
    </message>
    <message>
        <source>作废结算单</source>
        <translation>Drop the statement</translation>
    </message>
    <message>
        <source>对结算单发起打款</source>
        <translation>Make a payout of the statement</translation>
    </message>
    <message>
        <source>查看结算明细</source>
        <translation>Show the statement&apos;s lines</translation>
    </message>
    <message>
        <source>看上期结转从哪里来</source>
        <translation>See what was from before</translation>
    </message>
    <message>
        <source>导出结算明细…</source>
        <translation>Export the lines of the statement…</translation>
    </message>
    <message>
        <source>返回结算单列表</source>
        <translation>Back to the statements</translation>
    </message>
    <message>
        <source>查看这张结算单的打款</source>
        <translation>Open the payout of this statement</translation>
    </message>
    <message>
        <source>查看这行明细的订单</source>
        <translation>Open the line&apos;s order</translation>
    </message>
    <message>
        <source>打款复核通过</source>
        <translation>Approve the payout</translation>
    </message>
    <message>
        <source>打款复核不通过</source>
        <translation>Refuse the payout</translation>
    </message>
    <message>
        <source>确认打款到账</source>
        <translation>Mark the payout as arrived</translation>
    </message>
    <message>
        <source>登记打款失败或退汇</source>
        <translation>Mark the payout as failed or returned</translation>
    </message>
    <message>
        <source>撤回打款</source>
        <translation>Withdraw the payout</translation>
    </message>
    <message>
        <source>只给所选供应商生成结算单</source>
        <translation>Make statements for the selected suppliers only</translation>
    </message>
    <message>
        <source>选择筛选出的全部</source>
        <translation>Select all that the filters leave</translation>
    </message>
    <message>
        <source>提交打款</source>
        <translation>Send the payout</translation>
    </message>
    <message>
        <source>导出打款指令</source>
        <translation>Export the payout instructions</translation>
    </message>
    <message>
        <source>导入打款结果…</source>
        <translation>Import results of payouts…</translation>
    </message>
    <message>
        <source>看账户</source>
        <translation>Show the accounts</translation>
    </message>
    <message>
        <source>看分录</source>
        <translation>Show the journals</translation>
    </message>
    <message>
        <source>看调账</source>
        <translation>Show the adjustments</translation>
    </message>
    <message>
        <source>看争议</source>
        <translation>Show the disputes</translation>
    </message>
    <message>
        <source>看账户的每日结余</source>
        <translation>Show the account day by day</translation>
    </message>
    <message>
        <source>提出调账…</source>
        <translation>Propose an adjustment…</translation>
    </message>
    <message>
        <source>调账复核通过并入账</source>
        <translation>Approve and post the adjustment</translation>
    </message>
    <message>
        <source>调账复核不通过</source>
        <translation>Refuse the adjustment</translation>
    </message>
    <message>
        <source>撤回调账</source>
        <translation>Withdraw the adjustment</translation>
    </message>
    <message>
        <source>登记争议…</source>
        <translation>Open a dispute…</translation>
    </message>
    <message>
        <source>登记争议胜诉</source>
        <translation>The dispute is won</translation>
    </message>
    <message>
        <source>登记争议败诉</source>
        <translation>The dispute is lost</translation>
    </message>
</context>
<context>
    <name>DayContent</name>
    <message>
        <source>两边的数</source>
        <translation>Both sides</translation>
    </message>
    <message>
        <source>平台</source>
        <translation>Ours</translation>
    </message>
    <message>
        <source>渠道账单</source>
        <translation>Channel&apos;s bill</translation>
    </message>
    <message>
        <source>差</source>
        <translation>Off by</translation>
    </message>
    <message>
        <source>收款笔数</source>
        <translation>Payments</translation>
    </message>
    <message>
        <source>收款金额</source>
        <translation>Paid</translation>
    </message>
    <message>
        <source>退款笔数</source>
        <translation>Refunds</translation>
    </message>
    <message>
        <source>退款金额</source>
        <translation>Refunded</translation>
    </message>
    <message>
        <source>手续费</source>
        <translation>Fees</translation>
    </message>
    <message>
        <source>入账金额（不含商户券）</source>
        <translation>Credited, without merchant coupons</translation>
    </message>
    <message numerus="yes">
        <source>已对上 %n 笔，合计 {money}</source>
        <translation>
            <numerusform>%n matched, {money} in all</numerusform>
            <numerusform>%n matched, {money} in all</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>其中跨日 %n 笔</source>
        <translation>
            <numerusform>%n over midnight</numerusform>
            <numerusform>%n over midnight</numerusform>
        </translation>
    </message>
    <message>
        <source>还没有对账</source>
        <translation>Not reconciled yet</translation>
    </message>
    <message>
        <source>最近一次对账：{when}</source>
        <translation>Last reconciled: {when}</translation>
    </message>
    <message>
        <source>差异</source>
        <translation>Differences</translation>
    </message>
    <message>
        <source>没有差异</source>
        <translation>No differences</translation>
    </message>
    <message>
        <source>对账后在这里列出</source>
        <translation>Listed here once reconciled</translation>
    </message>
    <message>
        <source>未处理</source>
        <translation>Open</translation>
    </message>
    <message>
        <source>已处理</source>
        <translation>Handled</translation>
    </message>
    <message>
        <source>未处理金额</source>
        <translation>Open amount</translation>
    </message>
    <message>
        <source>查看差异：{kind}</source>
        <translation>See differences: {kind}</translation>
    </message>
    <message>
        <source>资金账单余额恒等式</source>
        <translation>Balance of the fund bill</translation>
    </message>
    <message>
        <source>期初余额</source>
        <translation>Opening balance</translation>
    </message>
    <message>
        <source>收款</source>
        <translation>Received</translation>
    </message>
    <message>
        <source>退款</source>
        <translation>Refunded</translation>
    </message>
    <message>
        <source>退回手续费</source>
        <translation>Fees returned</translation>
    </message>
    <message>
        <source>提现</source>
        <translation>Withdrawn</translation>
    </message>
    <message>
        <source>其他</source>
        <translation>Others</translation>
    </message>
    <message>
        <source>期末余额</source>
        <translation>Closing balance</translation>
    </message>
    <message>
        <source>逐项相加等于期末余额，一分不差</source>
        <translation>The lines add up to the closing balance, to the fen</translation>
    </message>
    <message>
        <source>逐项相加与期末余额差 {off}</source>
        <translation>The lines differ from the closing balance by {off}</translation>
    </message>
    <message>
        <source>签署之后的更正</source>
        <translation>Corrections since it was signed</translation>
    </message>
    <message>
        <source>当日不可再改；发现错误时点“更正”，由两人记一笔今天的调账。</source>
        <translation>The day does not change any more; “Correct” has two people post an adjustment of today.</translation>
    </message>
    <message numerus="yes">
        <source>其中 %n 条自动配平，最近一次 {when}</source>
        <translation>
            <numerusform>%n of them auto-matched, {when}</numerusform>
            <numerusform>%n of them auto-matched, the last one {when}</numerusform>
        </translation>
    </message>
    <message>
        <source>{who} 于 {when} 提出：{reason}，渠道待到账 {money}</source>
        <translation>{who}, {when}: {reason}; receivable from the channel {money}</translation>
    </message>
    <message>
        <source>查看调账</source>
        <translation>Open the adjustment</translation>
    </message>
    <message>
        <source>账单</source>
        <translation>Bills</translation>
    </message>
    <message>
        <source>缺{bill}</source>
        <translation>Missing: {bill}</translation>
    </message>
    <message>
        <source>选择账单文件…</source>
        <translation>Choose bill files…</translation>
    </message>
    <message>
        <source>{bill}：渠道说这一天没有账单</source>
        <translation>{bill}: the channel has none of this day</translation>
    </message>
    <message numerus="yes">
        <source>%n 行</source>
        <translation>
            <numerusform>%n line</numerusform>
            <numerusform>%n lines</numerusform>
        </translation>
    </message>
    <message>
        <source>自动获取</source>
        <translation>Fetched</translation>
    </message>
    <message>
        <source>手工导入</source>
        <translation>Dropped</translation>
    </message>
    <message>
        <source>签署之后才到，不改变已签署的数字；与它不同的会成为下一个未签日子的差异</source>
        <translation>It came after the signature and changes nothing of it; what differs is work of the next open day</translation>
    </message>
    <message>
        <source>{name}：账单印 {printed}，逐行相加 {read}</source>
        <translation>{name}: the bill prints {printed}, its rows add up to {read}</translation>
    </message>
    <message numerus="yes">
        <source>%n 项合计与逐行相加一致</source>
        <translation>
            <numerusform>%n control total agrees with its rows</numerusform>
            <numerusform>%n control totals agree with their rows</numerusform>
        </translation>
    </message>
    <message>
        <source>已签署</source>
        <translation>Signed</translation>
    </message>
    <message>
        <source>{who} 于 {when} 签署，应结净额 {net}</source>
        <translation>{who} signed on {when}, net {net}</translation>
    </message>
    <message>
        <source>未含</source>
        <translation>Without</translation>
    </message>
    <message>
        <source>{bills}：按设置，这个渠道不出</source>
        <translation>{bills}: by the settings this channel makes none</translation>
    </message>
    <message>
        <source>备注</source>
        <translation>Note</translation>
    </message>
    <message>
        <source>输入指纹（账单与平台账）</source>
        <translation>Hash of the inputs (bills and our books)</translation>
    </message>
    <message>
        <source>结果指纹（数字、匹配与差异）</source>
        <translation>Hash of the outputs (figures, matches, differences)</translation>
    </message>
</context>
<context>
    <name>DecisionBar</name>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>原因（必填，会记入操作日志）</source>
        <translation>Reason (needed; it goes into the audit log)</translation>
    </message>
    <message>
        <source>确定</source>
        <translation>OK</translation>
    </message>
    <message>
        <source>正在处理…</source>
        <translation>Working…</translation>
    </message>
    <message>
        <source>{held} 张已被锁定，付款后照常发货</source>
        <translation>{held} held are delivered when paid</translation>
    </message>
    <message>
        <source>{held} 张已被锁定，买家不付款才会下架</source>
        <translation>{held} held leave when their buyers do not pay</translation>
    </message>
    <message>
        <source>{sold} 张已售不受影响</source>
        <translation>{sold} sold stay sold</translation>
    </message>
    <message>
        <source>撤回后不能恢复，但这些卡密可以重新导入</source>
        <translation>a withdrawal is final, but these keys may be imported again</translation>
    </message>
    <message>
        <source>{free} 张立即停止销售</source>
        <translation>{free} stop selling at once</translation>
    </message>
    <message>
        <source>随时可以解冻</source>
        <translation>you may release them any time</translation>
    </message>
    <message>
        <source>冻结批次 {lot}（{file}）</source>
        <translation>Freeze lot {lot} ({file})</translation>
    </message>
    <message>
        <source>冻结</source>
        <translation>Freeze</translation>
    </message>
    <message>
        <source>{free} 张恢复销售</source>
        <translation>{free} sell again</translation>
    </message>
    <message>
        <source>解冻批次 {lot}（{file}）</source>
        <translation>Release lot {lot} ({file})</translation>
    </message>
    <message>
        <source>解冻</source>
        <translation>Release</translation>
    </message>
    <message>
        <source>{free} 张将下架</source>
        <translation>{free} leave the stock</translation>
    </message>
    <message>
        <source>撤回批次 {lot}（{file}）</source>
        <translation>Withdraw lot {lot} ({file})</translation>
    </message>
    <message>
        <source>撤回</source>
        <translation>Withdraw</translation>
    </message>
    <message numerus="yes">
        <source>撤回整个文件 {file}（%n 个批次）</source>
        <translation>
            <numerusform>Withdraw the whole file {file} (%n lot)</numerusform>
            <numerusform>Withdraw the whole file {file} (%n lots)</numerusform>
        </translation>
    </message>
    <message>
        <source>全部撤回</source>
        <translation>Withdraw all</translation>
    </message>
    <message>
        <source>{free} 张将作废，不能恢复</source>
        <translation>{free} become void for good</translation>
    </message>
    <message>
        <source>{n} 张已被锁定</source>
        <translation>{n} are held</translation>
    </message>
    <message>
        <source>{n} 张已售</source>
        <translation>{n} are sold</translation>
    </message>
    <message>
        <source>{n} 张早已作废</source>
        <translation>{n} are void already</translation>
    </message>
    <message>
        <source>后面这些不受影响</source>
        <translation>these stay as they are</translation>
    </message>
    <message>
        <source>作废选中的 {n} 张卡密</source>
        <translation>Void {n} selected keys</translation>
    </message>
    <message>
        <source>作废 {n} 张</source>
        <translation>Void {n}</translation>
    </message>
    <message>
        <source>怀疑卡密泄露</source>
        <translation>The keys may have leaked</translation>
    </message>
    <message>
        <source>买家投诉较多，正在核实</source>
        <translation>Many complaints; being checked</translation>
    </message>
    <message>
        <source>供应商要求暂停</source>
        <translation>The supplier asked to pause</translation>
    </message>
    <message>
        <source>已核实，没有问题</source>
        <translation>Checked; nothing wrong</translation>
    </message>
    <message>
        <source>供应商要求恢复</source>
        <translation>The supplier asked to go on</translation>
    </message>
    <message>
        <source>买家反馈已被使用</source>
        <translation>The buyer says it was used</translation>
    </message>
    <message>
        <source>卡密错误</source>
        <translation>Wrong keys</translation>
    </message>
    <message>
        <source>供应商要求作废</source>
        <translation>The supplier asked for it</translation>
    </message>
    <message>
        <source>导入到了错误的规格</source>
        <translation>Imported into the wrong SKU</translation>
    </message>
    <message>
        <source>供应商要求撤回</source>
        <translation>The supplier asked to withdraw</translation>
    </message>
    <message>
        <source>；</source>
        <translation>; </translation>
    </message>
    <message>
        <source>。</source>
        <translation>.</translation>
    </message>
</context>
<context>
    <name>DifferencePanel</name>
    <message>
        <source>差异详情</source>
        <translation>Difference</translation>
    </message>
    <message numerus="yes">
        <source>已选 %n 条差异</source>
        <translation>
            <numerusform>%n difference selected</numerusform>
            <numerusform>%n differences selected</numerusform>
        </translation>
    </message>
    <message>
        <source>差额合计 {off}</source>
        <translation>Off by {off} in all</translation>
    </message>
    <message>
        <source>{kind} {n} 条，{amount}</source>
        <translation>{kind}: {n}, {amount}</translation>
    </message>
    <message>
        <source>一次最多处理 {n} 条，请少选一些。</source>
        <translation>At most {n} at once; select fewer.</translation>
    </message>
    <message>
        <source>所选的差异没有共同的处理方式，请按类型筛选后再选。</source>
        <translation>Nothing can be done about all of these alike; filter by kind first.</translation>
    </message>
    <message>
        <source>差额 {off}</source>
        <translation>Off by {off}</translation>
    </message>
    <message>
        <source>后到的账单与已处理的 {number} 不同</source>
        <translation>a later bill differs from {number}, which was handled</translation>
    </message>
    <message>
        <source>自 {day} 挂账</source>
        <translation>carried from {day}</translation>
    </message>
    <message>
        <source>正在读取两边的原始记录…</source>
        <translation>Reading both rows…</translation>
    </message>
    <message>
        <source>经过</source>
        <translation>What happened</translation>
    </message>
    <message>
        <source>渠道账单</source>
        <translation>Channel&apos;s bill</translation>
    </message>
    <message>
        <source>账单第 {n} 行</source>
        <translation>Bill, row {n}</translation>
    </message>
    <message>
        <source>平台</source>
        <translation>Ours</translation>
    </message>
    <message>
        <source>两边不同</source>
        <translation>The sides differ</translation>
    </message>
    <message>
        <source>渠道流水号</source>
        <translation>Channel&apos;s number</translation>
    </message>
    <message>
        <source>商户订单号</source>
        <translation>Our number</translation>
    </message>
    <message>
        <source>商户退款单号</source>
        <translation>Our refund number</translation>
    </message>
    <message>
        <source>查看订单 {code}</source>
        <translation>See order {code}</translation>
    </message>
    <message>
        <source>查看异常款项</source>
        <translation>See the exception</translation>
    </message>
    <message>
        <source>处理</source>
        <translation>Handling</translation>
    </message>
    <message>
        <source>建议</source>
        <translation>Advised</translation>
    </message>
    <message>
        <source>决定</source>
        <translation>Decided</translation>
    </message>
    <message>
        <source>说明</source>
        <translation>Note</translation>
    </message>
    <message>
        <source>经办</source>
        <translation>Handled by</translation>
    </message>
    <message>
        <source>复核</source>
        <translation>Checked by</translation>
    </message>
    <message>
        <source>自动配平</source>
        <translation>Auto-matched</translation>
    </message>
    <message>
        <source>需要另一位同事复核</source>
        <translation>Another person must approve</translation>
    </message>
    <message>
        <source>可能的订单</source>
        <translation>Orders it may be for</translation>
    </message>
    <message>
        <source>归入…</source>
        <translation>Attach…</translation>
    </message>
    <message>
        <source>归入订单 {code}</source>
        <translation>Attach to order {code}</translation>
    </message>
</context>
<context>
    <name>DisputesPage</name>
    <message>
        <source>渠道投诉与拒付：份额先冻结，两位同事说法一致才了结</source>
        <translation>Shares are frozen until two people say the same about the end</translation>
    </message>
    <message>
        <source>争议列表</source>
        <translation>Disputes</translation>
    </message>
    <message>
        <source>没有争议</source>
        <translation>No disputes</translation>
    </message>
    <message>
        <source>渠道来了投诉或拒付，点“登记争议”。</source>
        <translation>Press “Open a dispute” when the channel sends a complaint or chargeback.</translation>
    </message>
    <message>
        <source>登记争议</source>
        <translation>Open a dispute</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>争议金额</source>
        <translation>Disputed</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>提议</source>
        <translation>Proposal</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>登记时间</source>
        <translation>Opened</translation>
    </message>
</context>
<context>
    <name>DropQuestion</name>
    <message>
        <source>这些文件是什么？</source>
        <translation>What are these files?</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>卡密文件</source>
        <translation>Card keys</translation>
    </message>
    <message>
        <source>打款结果</source>
        <translation>Results of payouts</translation>
    </message>
    <message>
        <source>渠道账单</source>
        <translation>Channel&apos;s bill</translation>
    </message>
    <message numerus="yes">
        <source>还有 %n 个</source>
        <translation>
            <numerusform>and %n more</numerusform>
            <numerusform>and %n more</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>DroppedBills</name>
    <message>
        <source>收起账单列表</source>
        <translation>Put the list of bills away</translation>
    </message>
    <message>
        <source>拖入的账单</source>
        <translation>Dropped bills</translation>
    </message>
    <message>
        <source>正在读取账单…</source>
        <translation>Reading the bills…</translation>
    </message>
    <message numerus="yes">
        <source>%n 份账单已收下</source>
        <translation>
            <numerusform>%n bill taken</numerusform>
            <numerusform>%n bills taken</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n 个文件没有收下</source>
        <translation>
            <numerusform>%n file refused</numerusform>
            <numerusform>%n files refused</numerusform>
        </translation>
    </message>
    <message>
        <source>等待服务器读取…</source>
        <translation>Waits for the server to read it…</translation>
    </message>
    <message>
        <source>查看 {day}</source>
        <translation>See {day}</translation>
    </message>
    <message numerus="yes">
        <source>%n 行</source>
        <translation>
            <numerusform>%n line</numerusform>
            <numerusform>%n lines</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>DuePage</name>
    <message>
        <source>去录入</source>
        <translation>Enter them</translation>
    </message>
    <message>
        <source>应结的供应商</source>
        <translation>Suppliers with something due</translation>
    </message>
    <message>
        <source>没有供应商</source>
        <translation>There are no suppliers</translation>
    </message>
    <message>
        <source>没有结算的订单行</source>
        <translation>Lines that are not settled</translation>
    </message>
    <message>
        <source>没有未结算的订单行</source>
        <translation>No line waits to be settled</translation>
    </message>
    <message>
        <source>发货后的订单会出现在这里。</source>
        <translation>Delivered orders appear here.</translation>
    </message>
    <message>
        <source>上期结转 {amount}</source>
        <translation>From before {amount}</translation>
    </message>
    <message>
        <source>从 {day} 起欠款，请催收</source>
        <translation>Owes since {day}: ask for it</translation>
    </message>
    <message>
        <source>今天没有可以结算的；若有在等的，原因见上面的列表。</source>
        <translation>Nothing can be settled today; why lines wait, if any do, is in the list above.</translation>
    </message>
    <message>
        <source>{year} 年的法定假日还没有录入：T+n 会把它的每个周一到周五都算作工作日。</source>
        <translation>Nobody entered the holidays of {year}: T+n counts each of its Mondays to Fridays as a working day.</translation>
    </message>
    <message>
        <source>已发货、还没有进结算单的订单，何时结算、为什么还不能</source>
        <translation>Delivered orders on no statement yet: when they are due, and why not now</translation>
    </message>
    <message>
        <source>今天可以结算给谁、多少；什么在等、为什么</source>
        <translation>Who can be paid how much today; what waits, and why</translation>
    </message>
    <message numerus="yes">
        <source>%n 家可以结算，应付合计 {payable}，暂不能结 {held}</source>
        <translation>
            <numerusform>%n supplier can be settled, {payable} payable in all, {held} wait</numerusform>
            <numerusform>%n suppliers can be settled, {payable} payable in all, {held} wait</numerusform>
        </translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>可结行数</source>
        <translation>Ready lines</translation>
    </message>
    <message>
        <source>应付</source>
        <translation>Payable</translation>
    </message>
    <message>
        <source>暂不能结</source>
        <translation>Held</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>结算释放</source>
        <translation>Released</translation>
    </message>
    <message>
        <source>退款扣减</source>
        <translation>Deducted</translation>
    </message>
    <message>
        <source>上期结转</source>
        <translation>From before</translation>
    </message>
    <message>
        <source>打款手续费</source>
        <translation>Payout fee</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>内容</source>
        <translation>Items</translation>
    </message>
    <message>
        <source>结算金额</source>
        <translation>Net</translation>
    </message>
    <message>
        <source>结算情况</source>
        <translation>Standing</translation>
    </message>
    <message>
        <source>结算日</source>
        <translation>Due day</translation>
    </message>
    <message>
        <source>发货时间</source>
        <translation>Delivered</translation>
    </message>
</context>
<context>
    <name>ExceptionPanel</name>
    <message>
        <source>异常详情</source>
        <translation>The exception</translation>
    </message>
    <message>
        <source>{left}，到时系统按默认规则自动处理</source>
        <translation>{left}; then the shop acts by its default rule</translation>
    </message>
    <message>
        <source>证据</source>
        <translation>Evidence</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>经过</source>
        <translation>What happened</translation>
    </message>
    <message>
        <source>订单</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>查看订单 {code}</source>
        <translation>See order {code}</translation>
    </message>
    <message>
        <source>可能的订单</source>
        <translation>Orders it may be for</translation>
    </message>
    <message>
        <source>到账前 24 小时内，没有金额相同的未支付订单。</source>
        <translation>No unpaid order of that amount was placed in the 24 hours before it came.</translation>
    </message>
    <message>
        <source>归入…</source>
        <translation>Attach…</translation>
    </message>
    <message>
        <source>归入订单 {code}</source>
        <translation>Attach to order {code}</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>内容</source>
        <translation>Items</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>下单</source>
        <translation>Placed</translation>
    </message>
    <message>
        <source>付款</source>
        <translation>Paid</translation>
    </message>
    <message>
        <source>发货</source>
        <translation>Delivered</translation>
    </message>
    <message>
        <source>查看退款进度</source>
        <translation>See the refund</translation>
    </message>
</context>
<context>
    <name>ExceptionsPage</name>
    <message>
        <source>异常款项</source>
        <translation>Exceptions</translation>
    </message>
    <message>
        <source>每一笔收到的钱，最后都要发货、退款，或在这里有人处理</source>
        <translation>All money that came ends delivered, refunded, or here with a person</translation>
    </message>
    <message>
        <source>按原因筛选</source>
        <translation>Filter by kind</translation>
    </message>
    <message>
        <source>按渠道筛选</source>
        <translation>Filter by channel</translation>
    </message>
    <message>
        <source>异常列表</source>
        <translation>List of exceptions</translation>
    </message>
    <message>
        <source>未关闭</source>
        <translation>Not closed</translation>
    </message>
    <message>
        <source>您的提议在等另一位同事复核；您只能撤回。</source>
        <translation>Your proposal waits for a second person; you can only take it back.</translation>
    </message>
    <message>
        <source>全部原因</source>
        <translation>All kinds</translation>
    </message>
    <message>
        <source>全部渠道</source>
        <translation>All channels</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>时间</source>
        <translation>Time</translation>
    </message>
    <message>
        <source>没有符合条件的异常</source>
        <translation>No exception matches</translation>
    </message>
    <message>
        <source>换个状态、原因或渠道。</source>
        <translation>Try another state, kind or channel.</translation>
    </message>
    <message>
        <source>没有异常</source>
        <translation>No exceptions</translation>
    </message>
    <message>
        <source>收到的每一笔钱都有去处。</source>
        <translation>All money that came has a place.</translation>
    </message>
</context>
<context>
    <name>FeeRulesPage</name>
    <message>
        <source>同一范围以最新一条为准；商品与级别都写明的最优先，其次商品，再次级别</source>
        <translation>Of one scope the newest counts; product with tier comes first, then product, then tier</translation>
    </message>
    <message>
        <source>费率规则列表</source>
        <translation>Rules of fees</translation>
    </message>
    <message>
        <source>范围</source>
        <translation>Of what</translation>
    </message>
    <message>
        <source>费率</source>
        <translation>Fees</translation>
    </message>
    <message>
        <source>适用商品数</source>
        <translation>Products</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>生效时间</source>
        <translation>Since</translation>
    </message>
    <message>
        <source>设置人</source>
        <translation>By</translation>
    </message>
    <message>
        <source>没有费率规则</source>
        <translation>No rules</translation>
    </message>
    <message>
        <source>没有规则时，用商品或供应商自己的费率。</source>
        <translation>Without one, the product&apos;s or the supplier&apos;s own rate counts.</translation>
    </message>
</context>
<context>
    <name>FeedView</name>
    <message>
        <source>现在读不到数据</source>
        <translation>The data cannot be read now</translation>
    </message>
    <message>
        <source>重试</source>
        <translation>Try again</translation>
    </message>
    <message>
        <source>有新的变化，刷新</source>
        <translation>There are changes; refresh</translation>
    </message>
    <message>
        <source>没有读全，重试</source>
        <translation>Not everything was read; try again</translation>
    </message>
    <message>
        <source>正在读取…</source>
        <translation>Reading…</translation>
    </message>
    <message numerus="yes">
        <source>已载入 %n 行，向下滚动继续载入</source>
        <translation>
            <numerusform>%n row loaded; scroll for more</numerusform>
            <numerusform>%n rows loaded; scroll for more</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>共 %n 行</source>
        <translation>
            <numerusform>%n row</numerusform>
            <numerusform>%n rows</numerusform>
        </translation>
    </message>
    <message>
        <source>离线，这是 {age} 的数据</source>
        <translation>offline; this was read {age}</translation>
    </message>
</context>
<context>
    <name>FinancePanel</name>
    <message>
        <source>打开所在文件夹</source>
        <translation>Open its folder</translation>
    </message>
    <message>
        <source>财务工作簿</source>
        <translation>Finance workbook</translation>
    </message>
    <message>
        <source>收起财务工作簿</source>
        <translation>Put the finance workbook away</translation>
    </message>
    <message>
        <source>起始账期</source>
        <translation>First day</translation>
    </message>
    <message>
        <source>结束账期</source>
        <translation>Last day</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>版式</source>
        <translation>Layout</translation>
    </message>
    <message>
        <source>编辑版式…</source>
        <translation>Edit the layout…</translation>
    </message>
    <message>
        <source>正在导出…</source>
        <translation>Exporting…</translation>
    </message>
    <message>
        <source>导出…</source>
        <translation>Export…</translation>
    </message>
    <message>
        <source>已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}</source>
        <translation>{path} was written with {rows} rows of details. SHA-256 of the data: {hash}</translation>
    </message>
    <message>
        <source>全部渠道</source>
        <translation>All channels</translation>
    </message>
    <message>
        <source>默认版式</source>
        <translation>Usual layout</translation>
    </message>
</context>
<context>
    <name>FindView</name>
    <message>
        <source>返回库存</source>
        <translation>Back to stock</translation>
    </message>
    <message>
        <source>再找一批</source>
        <translation>Find others</translation>
    </message>
    <message>
        <source>粘贴要查找的卡密，每行一张，最多 {n} 张</source>
        <translation>Paste the keys to find, one a line, at most {n}</translation>
    </message>
    <message>
        <source>卡号和卡密写法与导入时相同。发出前先加密，只有服务器能打开；本机不保存，也不写入日志。</source>
        <translation>Write number and key as they were imported. They are sealed before they leave; only the server can open them. Nothing is kept or logged here.</translation>
    </message>
    <message>
        <source>要查找的卡密，每行一张</source>
        <translation>Keys to find, one a line</translation>
    </message>
    <message>
        <source>查找</source>
        <translation>Find</translation>
    </message>
    <message>
        <source>查找结果</source>
        <translation>What was found</translation>
    </message>
    <message>
        <source>粘贴</source>
        <translation>Pasted</translation>
    </message>
    <message>
        <source>找到</source>
        <translation>Found</translation>
    </message>
    <message>
        <source>没找到</source>
        <translation>Not found</translation>
    </message>
    <message>
        <source>重复粘贴</source>
        <translation>Pasted twice</translation>
    </message>
    <message>
        <source>找到的里面有 {n} 张已售出。</source>
        <translation>{n} of those found are sold.</translation>
    </message>
    <message>
        <source>没找到：不在您能看到的库存里，也可能是卡号与卡密的写法不同。</source>
        <translation>Not found: not in the stock you may see, or number and key were written otherwise.</translation>
    </message>
    <message numerus="yes">
        <source>%n 行</source>
        <translation>
            <numerusform>%n line</numerusform>
            <numerusform>%n lines</numerusform>
        </translation>
    </message>
    <message>
        <source>正在查找…</source>
        <translation>Looking…</translation>
    </message>
    <message>
        <source>行</source>
        <translation>Line</translation>
    </message>
    <message>
        <source>卡密（已遮盖）</source>
        <translation>Key (covered)</translation>
    </message>
    <message>
        <source>结果</source>
        <translation>Result</translation>
    </message>
    <message>
        <source>规格</source>
        <translation>SKU</translation>
    </message>
    <message>
        <source>编号</source>
        <translation>Number</translation>
    </message>
    <message>
        <source>过期日</source>
        <translation>Expires</translation>
    </message>
    <message>
        <source>售出时间</source>
        <translation>Sold</translation>
    </message>
    <message>
        <source>作废原因</source>
        <translation>Why void</translation>
    </message>
</context>
<context>
    <name>Foot</name>
    <message>
        <source>命令 Ctrl+K</source>
        <translation>Commands Ctrl+K</translation>
    </message>
    <message>
        <source>快捷键 ?</source>
        <translation>Shortcuts ?</translation>
    </message>
    <message>
        <source>打开命令面板</source>
        <translation>Open the command palette</translation>
    </message>
    <message>
        <source>快捷键一览</source>
        <translation>Keyboard shortcuts</translation>
    </message>
    <message numerus="yes">
        <source>%n 个导入进行中</source>
        <translation>
            <numerusform>%n import under way</numerusform>
            <numerusform>%n imports under way</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n 个库存预警</source>
        <translation>
            <numerusform>%n stock alert</numerusform>
            <numerusform>%n stock alerts</numerusform>
        </translation>
    </message>
    <message>
        <source>本机时钟与服务器相差较大，请校准</source>
        <translation>This computer&apos;s clock is far off; please set it</translation>
    </message>
    <message>
        <source>浅色</source>
        <translation>Light</translation>
    </message>
    <message>
        <source>深色</source>
        <translation>Dark</translation>
    </message>
    <message>
        <source>跟随系统</source>
        <translation>System</translation>
    </message>
    <message>
        <source>主题：{name}，点击切换</source>
        <translation>Theme: {name}; click to change</translation>
    </message>
    <message>
        <source>语言：{name}，点击切换</source>
        <translation>Language: {name}; click to change</translation>
    </message>
    <message>
        <source>未登录</source>
        <translation>Signed out</translation>
    </message>
    <message>
        <source>正在连接…</source>
        <translation>Connecting…</translation>
    </message>
    <message>
        <source>已连接</source>
        <translation>Connected</translation>
    </message>
    <message>
        <source>离线</source>
        <translation>Offline</translation>
    </message>
</context>
<context>
    <name>HistoryPeek</name>
    <message>
        <source>这张卡密的经过</source>
        <translation>What happened to this key</translation>
    </message>
    <message>
        <source>入库</source>
        <translation>Imported</translation>
    </message>
    <message>
        <source>作废</source>
        <translation>Void</translation>
    </message>
    <message>
        <source>售出</source>
        <translation>Sold</translation>
    </message>
    <message>
        <source>买家查看</source>
        <translation>Seen by the buyer</translation>
    </message>
    <message>
        <source>员工查看明文</source>
        <translation>Revealed to staff</translation>
    </message>
    <message>
        <source>退回</source>
        <translation>Came back</translation>
    </message>
    <message>
        <source>随批次撤回</source>
        <translation>Withdrawn with its lot</translation>
    </message>
</context>
<context>
    <name>HoldsPage</name>
    <message>
        <source>人工暂缓的订单和供应商；在“应结”或订单里暂缓，在这里放行</source>
        <translation>Held by people: hold under “Due” or at an order, let go here</translation>
    </message>
    <message>
        <source>暂缓列表</source>
        <translation>Holds</translation>
    </message>
    <message>
        <source>没有人工暂缓</source>
        <translation>Nothing is held by people</translation>
    </message>
    <message>
        <source>可以结算的都会进入结算单。</source>
        <translation>What can be settled goes on the next statement.</translation>
    </message>
    <message>
        <source>暂缓的内容</source>
        <translation>Held</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>到哪一天</source>
        <translation>Until</translation>
    </message>
    <message>
        <source>暂缓人</source>
        <translation>Held by</translation>
    </message>
    <message>
        <source>暂缓时间</source>
        <translation>Held at</translation>
    </message>
</context>
<context>
    <name>HolidaysPage</name>
    <message>
        <source>T+n 按国务院公布的工作日计算；没有的年份和临时调整在这里录入</source>
        <translation>T+n counts the State Council&apos;s working days; enter years it lacks, and changes, here</translation>
    </message>
    <message>
        <source>年份</source>
        <translation>Year</translation>
    </message>
    <message>
        <source>假日与调休列表</source>
        <translation>Holidays and working weekends</translation>
    </message>
    <message>
        <source>日期</source>
        <translation>Day</translation>
    </message>
    <message>
        <source>星期</source>
        <translation>Weekday</translation>
    </message>
    <message>
        <source>是否上班</source>
        <translation>Kind of day</translation>
    </message>
    <message>
        <source>名称</source>
        <translation>Name</translation>
    </message>
    <message>
        <source>这一年没有录入假日</source>
        <translation>No holidays were entered</translation>
    </message>
    <message>
        <source>没有录入时，按周一到周五上班计算。</source>
        <translation>Until then Monday to Friday are working days.</translation>
    </message>
    <message>
        <source>{year} 年的假日还不完整：录入全部法定假日之前，结算日按已有的计算。</source>
        <translation>The holidays of {year} are not complete: until they are, days are counted by what is there.</translation>
    </message>
</context>
<context>
    <name>ImportDetail</name>
    <message>
        <source>导入进度</source>
        <translation>Import progress</translation>
    </message>
    <message>
        <source>文件的账：读取等于各项之和</source>
        <translation>The file&apos;s sum: read equals all parts</translation>
    </message>
    <message>
        <source>服务器的账：可导入等于各项之和</source>
        <translation>The server&apos;s sum: valid equals all parts</translation>
    </message>
    <message>
        <source>没有导入的行</source>
        <translation>Lines not imported</translation>
    </message>
    <message>
        <source>返回导入记录</source>
        <translation>Back to the imports</translation>
    </message>
    <message>
        <source>暂停</source>
        <translation>Pause</translation>
    </message>
    <message>
        <source>继续</source>
        <translation>Resume</translation>
    </message>
    <message>
        <source>取消导入</source>
        <translation>Cancel import</translation>
    </message>
    <message>
        <source>按原因筛选</source>
        <translation>Filter by reason</translation>
    </message>
    <message>
        <source>导出为 Excel</source>
        <translation>Export to Excel</translation>
    </message>
    <message>
        <source>上传已暂停；文件仍在本机读取、检查并加密（{percent}）</source>
        <translation>Sending is paused; the file is still being read, checked and encrypted here ({percent})</translation>
    </message>
    <message>
        <source>第 1 步，共 3 步：在本机读取、检查并加密（{percent}）</source>
        <translation>Step 1 of 3: reading, checking and sealing on this computer ({percent})</translation>
    </message>
    <message>
        <source>等待上传</source>
        <translation>Waiting to upload</translation>
    </message>
    <message>
        <source>第 2 步，共 3 步：上传加密的数据块（{sent} / {all}）</source>
        <translation>Step 2 of 3: uploading sealed chunks ({sent} of {all})</translation>
    </message>
    <message>
        <source>第 3 步，共 3 步：服务器入库（{percent}）</source>
        <translation>Step 3 of 3: the server is storing ({percent})</translation>
    </message>
    <message numerus="yes">
        <source>%n 张卡密已入库</source>
        <translation>
            <numerusform>%n key is in stock</numerusform>
            <numerusform>%n keys are in stock</numerusform>
        </translation>
    </message>
    <message>
        <source>已暂停，进度已保存，可以关闭窗口</source>
        <translation>Paused. Progress is kept; you may close the window</translation>
    </message>
    <message>
        <source>没有导入任何内容</source>
        <translation>Nothing was imported</translation>
    </message>
    <message>
        <source>导入没有完成</source>
        <translation>The import was not completed</translation>
    </message>
    <message>
        <source>导入已取消；连上服务器后，会清除它已收到的部分</source>
        <translation>Cancelled; once connected, the server drops what it has received</translation>
    </message>
    <message>
        <source>导入已取消，没有入库任何卡密</source>
        <translation>The import was cancelled; no key was stored</translation>
    </message>
    <message>
        <source>可以关闭窗口：下次打开时读完文件，等您按“继续”才上传。本机只保存加密后的数据。</source>
        <translation>You may close the window: the file is read to its end next time, and sent once you press “Resume”. Only encrypted data is kept here.</translation>
    </message>
    <message>
        <source>可以关闭窗口：导入会停下，下次打开时自动继续。本机只保存加密后的数据。</source>
        <translation>The window may be closed: the import pauses and goes on by itself at the next start. Only sealed data is kept here.</translation>
    </message>
    <message>
        <source>可以关闭窗口：服务器会自己完成入库。</source>
        <translation>The window may be closed: the server finishes by itself.</translation>
    </message>
    <message>
        <source>读取</source>
        <translation>Read</translation>
    </message>
    <message>
        <source>可导入</source>
        <translation>Valid</translation>
    </message>
    <message>
        <source>重复</source>
        <translation>Duplicates</translation>
    </message>
    <message>
        <source>拒绝</source>
        <translation>Refused</translation>
    </message>
    <message>
        <source>跳过</source>
        <translation>Skipped</translation>
    </message>
    <message>
        <source>已入库</source>
        <translation>Stored</translation>
    </message>
    <message>
        <source>与库存重复</source>
        <translation>In stock already</translation>
    </message>
    <message>
        <source>服务器拒绝</source>
        <translation>Refused by server</translation>
    </message>
    <message>
        <source>处理中</source>
        <translation>In progress</translation>
    </message>
    <message>
        <source>只列出前 {rows} 行，导出的 Excel 里有全部</source>
        <translation>Only the first {rows} are listed; the exported workbook has all</translation>
    </message>
    <message>
        <source>正在写文件…</source>
        <translation>Writing the file…</translation>
    </message>
    <message>
        <source>全部原因</source>
        <translation>All reasons</translation>
    </message>
    <message>
        <source>逐行的原因只在读取文件的那次打开期间列出；保留原文件即可导出全部。</source>
        <translation>Reasons by line are listed only while the program that read the file is open; with the file at hand all of them can be exported.</translation>
    </message>
    <message>
        <source>正在检查…</source>
        <translation>Checking…</translation>
    </message>
    <message>
        <source>读完后，没有导入的每一行都会列在这里，并写明原因。</source>
        <translation>When the file is read, every line that was not imported is listed here with its reason.</translation>
    </message>
    <message>
        <source>可导入的卡密不在这里列出</source>
        <translation>Valid keys are not listed here</translation>
    </message>
    <message>
        <source>它们在本机加密后直接上传，界面上不保留内容。</source>
        <translation>They are sealed on this computer and uploaded; the screen keeps none of them.</translation>
    </message>
    <message>
        <source>这里没有逐行记录</source>
        <translation>No lines are recorded here</translation>
    </message>
    <message>
        <source>没有这样的行</source>
        <translation>No such lines</translation>
    </message>
    <message>
        <source>读取的每一行都已计入上面的数字。</source>
        <translation>Every line that was read is in the figures above.</translation>
    </message>
    <message>
        <source>行</source>
        <translation>Line</translation>
    </message>
    <message>
        <source>单元格</source>
        <translation>Cell</translation>
    </message>
    <message>
        <source>结果</source>
        <translation>Result</translation>
    </message>
    <message>
        <source>卡密（已遮盖）</source>
        <translation>Key (covered)</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
</context>
<context>
    <name>ImportsHome</name>
    <message>
        <source>本机的导入记录</source>
        <translation>Imports on this computer</translation>
    </message>
    <message>
        <source>把卡密文件拖到窗口任意位置</source>
        <translation>Drop key files anywhere on the window</translation>
    </message>
    <message>
        <source>支持 .xlsx、.csv、.txt；编码、分隔符和列会自动识别，导入前先给您看</source>
        <translation>.xlsx, .csv and .txt; encoding, separator and columns are recognised and shown to you first</translation>
    </message>
    <message>
        <source>选择文件…</source>
        <translation>Choose files…</translation>
    </message>
    <message>
        <source>粘贴卡密…</source>
        <translation>Paste keys…</translation>
    </message>
    <message>
        <source>下载模板…</source>
        <translation>Save a template…</translation>
    </message>
    <message>
        <source>各列已设为文本的空白 Excel，长数字和开头的 0 不会丢</source>
        <translation>An empty Excel file with text columns: long numbers and leading zeros stay</translation>
    </message>
    <message>
        <source>接下来的文件将导入到 {sku}</source>
        <translation>The next file goes into {sku}</translation>
    </message>
    <message>
        <source>还没有导入过</source>
        <translation>Nothing imported yet</translation>
    </message>
    <message>
        <source>导入的每个文件都会留在这里，随时可以看到每一行的去向。</source>
        <translation>Every imported file stays here, with what became of each line.</translation>
    </message>
    <message>
        <source>文件</source>
        <translation>File</translation>
    </message>
    <message>
        <source>规格编码</source>
        <translation>SKU</translation>
    </message>
    <message>
        <source>时间</source>
        <translation>Time</translation>
    </message>
    <message>
        <source>读取</source>
        <translation>Read</translation>
    </message>
    <message>
        <source>已入库</source>
        <translation>Stored</translation>
    </message>
    <message>
        <source>未导入</source>
        <translation>Left out</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
</context>
<context>
    <name>ImportsPage</name>
    <message>
        <source>导入卡密</source>
        <translation>Import keys</translation>
    </message>
    <message>
        <source>未导入的行-{file}.xlsx</source>
        <translation>not-imported-{file}.xlsx</translation>
    </message>
    <message>
        <source>卡密导入模板.xlsx</source>
        <translation>kameng-template.xlsx</translation>
    </message>
    <message numerus="yes">
        <source>%n 张卡密已入库</source>
        <translation>
            <numerusform>%n key is in stock</numerusform>
            <numerusform>%n keys are in stock</numerusform>
        </translation>
    </message>
    <message>
        <source>“{file}”没有导入成功</source>
        <translation>“{file}” was not imported</translation>
    </message>
    <message numerus="yes">
        <source>后面还有 %n 个文件等待检查</source>
        <translation>
            <numerusform>%n more file is waiting</numerusform>
            <numerusform>%n more files are waiting</numerusform>
        </translation>
    </message>
    <message>
        <source>卡密在本机检查并加密后才上传；导入完成后，程序不保留明文</source>
        <translation>Keys are checked and sealed on this computer before they travel; afterwards nothing is kept in clear</translation>
    </message>
    <message numerus="yes">
        <source>已导出 %n 行到 {path}</source>
        <translation>
            <numerusform>%n line exported to {path}</numerusform>
            <numerusform>%n lines exported to {path}</numerusform>
        </translation>
    </message>
    <message>
        <source>（原文件已不在或已改动，只写出行号与原因）</source>
        <translation> (the file is gone or changed: line numbers and reasons only)</translation>
    </message>
    <message>
        <source>模板已保存到 {path}</source>
        <translation>The template is saved to {path}</translation>
    </message>
    <message>
        <source>继续上次未完成的导入：列和其他选项仍是那次选择的。要改选，请先取消它，再重新导入。</source>
        <translation>Going on with the unfinished import: columns and other options stay as they were chosen then. To choose anew, cancel it, then import again.</translation>
    </message>
</context>
<context>
    <name>JournalsPage</name>
    <message>
        <source>每一笔分录的借方和贷方，过账之后不能修改</source>
        <translation>Debit and credit of every journal; what is posted never changes</translation>
    </message>
    <message>
        <source>看全部订单的</source>
        <translation>Of all orders</translation>
    </message>
    <message>
        <source>分录日期</source>
        <translation>Day of the journals</translation>
    </message>
    <message>
        <source>分录列表</source>
        <translation>Journals</translation>
    </message>
    <message>
        <source>没有分录</source>
        <translation>No journals</translation>
    </message>
    <message>
        <source>换一天看看。</source>
        <translation>Try another day.</translation>
    </message>
    <message>
        <source>订单 {code}</source>
        <translation>Order {code}</translation>
    </message>
    <message>
        <source>时间</source>
        <translation>Time</translation>
    </message>
    <message>
        <source>事项</source>
        <translation>What</translation>
    </message>
    <message>
        <source>借方</source>
        <translation>Debit</translation>
    </message>
    <message>
        <source>贷方</source>
        <translation>Credit</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>经手人</source>
        <translation>By</translation>
    </message>
</context>
<context>
    <name>KeySheet</name>
    <message>
        <source>快捷键一览</source>
        <translation>Keyboard shortcuts</translation>
    </message>
    <message>
        <source>所有操作也都在命令面板里（Ctrl+K）。</source>
        <translation>All of it is in the command palette, too (Ctrl+K).</translation>
    </message>
    <message>
        <source>下一行 / 上一行</source>
        <translation>Next / previous row</translation>
    </message>
    <message>
        <source>预览详情</source>
        <translation>Peek at details</translation>
    </message>
    <message>
        <source>打开</source>
        <translation>Open</translation>
    </message>
    <message>
        <source>首行 / 末行</source>
        <translation>First / last row</translation>
    </message>
    <message>
        <source>复制所选行</source>
        <translation>Copy the selected rows</translation>
    </message>
    <message>
        <source>表格中</source>
        <translation>In tables</translation>
    </message>
    <message>
        <source>关闭</source>
        <translation>Close</translation>
    </message>
</context>
<context>
    <name>Language</name>
    <message>
        <source>zh</source>
        <comment>the code of this language: write en</comment>
        <translation>en</translation>
    </message>
</context>
<context>
    <name>LayoutEditor</name>
    <message>
        <source>工作表与列</source>
        <translation>Sheets and columns</translation>
    </message>
    <message>
        <source>双击或按 F2 改名，清空则恢复原名；Alt+↑、Alt+↓ 移动</source>
        <translation>Rename by a double click or F2, clear a name to get the usual one back; Alt+Up and Alt+Down move</translation>
    </message>
    <message>
        <source>版式名称</source>
        <translation>Name of the layout</translation>
    </message>
    <message>
        <source>上移</source>
        <translation>Up</translation>
    </message>
    <message>
        <source>下移</source>
        <translation>Down</translation>
    </message>
    <message>
        <source>改名</source>
        <translation>Rename</translation>
    </message>
    <message>
        <source>保存版式</source>
        <translation>Save the layout</translation>
    </message>
    <message>
        <source>删除版式</source>
        <translation>Delete the layout</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>封面的合计公式要用这一列</source>
        <translation>The cover adds this column up</translation>
    </message>
</context>
<context>
    <name>LedgerFacts</name>
    <message>
        <source>全部：{terms}</source>
        <translation>All: {terms}</translation>
    </message>
    <message>
        <source>有效期 {first} 至 {last}</source>
        <translation>expiry {first} to {last}</translation>
    </message>
    <message>
        <source>成本 {costs}</source>
        <translation>cost {costs}</translation>
    </message>
    <message>
        <source>每张可用 {uses} 次</source>
        <translation>{uses} uses each</translation>
    </message>
    <message>
        <source>共 {lots} 批</source>
        <translation>{lots} lots</translation>
    </message>
    <message>
        <source>{rows} 行（{where}）</source>
        <translation>{rows} rows ({where})</translation>
    </message>
    <message>
        <source>自动修整：{repairs}</source>
        <translation>Repaired: {repairs}</translation>
    </message>
</context>
<context>
    <name>LedgerPage</name>
    <message>
        <source>账户</source>
        <translation>Accounts</translation>
    </message>
    <message>
        <source>分录</source>
        <translation>Journals</translation>
    </message>
    <message>
        <source>调账</source>
        <translation>Adjustments</translation>
    </message>
    <message>
        <source>争议</source>
        <translation>Disputes</translation>
    </message>
    <message>
        <source>账簿</source>
        <translation>Ledger</translation>
    </message>
    <message>
        <source>账户、分录、调账或争议</source>
        <translation>Accounts, journals, adjustments or disputes</translation>
    </message>
</context>
<context>
    <name>LinePanel</name>
    <message>
        <source>明细追溯</source>
        <translation>Where the line comes from</translation>
    </message>
    <message>
        <source>查看订单 {code}</source>
        <translation>See order {code}</translation>
    </message>
</context>
<context>
    <name>LotsView</name>
    <message>
        <source>批次列表</source>
        <translation>Lots</translation>
    </message>
    <message>
        <source>还没有批次</source>
        <translation>No lots yet</translation>
    </message>
    <message>
        <source>导入的文件按过期日、进价和可用次数分成批次。</source>
        <translation>Imported files make lots by expiry, cost and uses.</translation>
    </message>
    <message>
        <source>复制批次编号，供服务器命令使用</source>
        <translation>Copy the lot&apos;s id, for commands of the server</translation>
    </message>
    <message>
        <source>冻结</source>
        <translation>Freeze</translation>
    </message>
    <message>
        <source>解冻</source>
        <translation>Release</translation>
    </message>
    <message>
        <source>撤回批次</source>
        <translation>Withdraw lot</translation>
    </message>
    <message>
        <source>撤回整个文件</source>
        <translation>Withdraw the whole file</translation>
    </message>
    <message>
        <source>该批次由店铺冻结，只能由店铺解冻或撤回，请与店铺联系。</source>
        <translation>The shop froze this lot: only the shop can release or withdraw it. Please contact the shop.</translation>
    </message>
    <message>
        <source>批次</source>
        <translation>Lot</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>文件</source>
        <translation>File</translation>
    </message>
    <message>
        <source>过期日</source>
        <translation>Expires</translation>
    </message>
    <message>
        <source>最后销售日</source>
        <translation>Last sale day</translation>
    </message>
    <message>
        <source>进价</source>
        <translation>Cost</translation>
    </message>
    <message>
        <source>次数</source>
        <translation>Uses</translation>
    </message>
    <message>
        <source>入库</source>
        <translation>Imported</translation>
    </message>
    <message>
        <source>未售</source>
        <translation>Unsold</translation>
    </message>
    <message>
        <source>锁定</source>
        <translation>Held</translation>
    </message>
    <message>
        <source>已售</source>
        <translation>Sold</translation>
    </message>
    <message>
        <source>作废</source>
        <translation>Void</translation>
    </message>
    <message>
        <source>导入时间</source>
        <translation>Imported at</translation>
    </message>
</context>
<context>
    <name>ManyPanel</name>
    <message>
        <source>{state} {n}</source>
        <translation>{state}: {n}</translation>
    </message>
    <message>
        <source>一次最多处理 {n} 条，请少选一些。</source>
        <translation>At most {n} at once; select fewer.</translation>
    </message>
    <message>
        <source>所选的现在没有可以一起办的。</source>
        <translation>Nothing can be done about all of these now.</translation>
    </message>
    <message>
        <source>办好 {done}，没有办成 {left}</source>
        <translation>{done} done, {left} not</translation>
    </message>
    <message>
        <source>{done} 个都办好了</source>
        <translation>All {done} done</translation>
    </message>
    <message>
        <source>还有 {n} 个也办好了。</source>
        <translation>{n} more were done, too.</translation>
    </message>
    <message>
        <source>知道了</source>
        <translation>Got it</translation>
    </message>
</context>
<context>
    <name>Navigation</name>
    <message>
        <source>导航</source>
        <translation>Navigation</translation>
    </message>
    <message>
        <source>卡盟</source>
        <translation>Kameng</translation>
    </message>
    <message>
        <source>退出登录</source>
        <translation>Sign out</translation>
    </message>
</context>
<context>
    <name>News</name>
    <message>
        <source>打开所在文件夹</source>
        <translation>Open its folder</translation>
    </message>
    <message>
        <source>收起核验结果</source>
        <translation>Close the verdict</translation>
    </message>
    <message>
        <source>去复核</source>
        <translation>Check it</translation>
    </message>
    <message>
        <source>1 笔到账等您复核：{channel} {day} {money}</source>
        <translation>1 arrival waits for your approval: {channel}, {day}, {money}</translation>
    </message>
    <message numerus="yes">
        <source>%n 笔到账等您复核，第一笔：{channel} {day} {money}</source>
        <translation>
            <numerusform>%n arrival waits for your approval: {channel}, {day}, {money}</numerusform>
            <numerusform>%n arrivals wait for your approval, first: {channel}, {day}, {money}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{channel} {day} 共 %n 条</source>
        <translation>
            <numerusform>{channel} {day}: %n</numerusform>
            <numerusform>{channel} {day}: %n</numerusform>
        </translation>
    </message>
    <message>
        <source>今天有差异自动配平：{days}</source>
        <translation>Auto-matched today: {days}</translation>
    </message>
    <message>
        <source>已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}…</source>
        <translation>Written to {path}, {rows} rows of details. SHA-256 of the data: {hash}…</translation>
    </message>
    <message>
        <source>正在核验“{file}”…</source>
        <translation>Verifying “{file}”…</translation>
    </message>
</context>
<context>
    <name>OrderPeek</name>
    <message>
        <source>订单详情</source>
        <translation>Order details</translation>
    </message>
    <message>
        <source>内容</source>
        <translation>Content</translation>
    </message>
    <message>
        <source>供应商所得</source>
        <translation>Supplier&apos;s share</translation>
    </message>
    <message>
        <source>平台服务费</source>
        <translation>Platform fee</translation>
    </message>
    <message>
        <source>经过</source>
        <translation>Timeline</translation>
    </message>
    <message>
        <source>下单</source>
        <translation>Placed</translation>
    </message>
    <message>
        <source>付款</source>
        <translation>Paid</translation>
    </message>
    <message>
        <source>查看这张订单的分录</source>
        <translation>Show the order&apos;s journals</translation>
    </message>
    <message>
        <source>支付</source>
        <translation>Payment</translation>
    </message>
    <message>
        <source>退款</source>
        <translation>Refunds</translation>
    </message>
    <message>
        <source>退款记录暂时读不到，请刷新后再操作。</source>
        <translation>The refunds cannot be read just now; refresh before you go on.</translation>
    </message>
    <message>
        <source>连不上服务器，这是 {when} 的记录。</source>
        <translation>The server cannot be reached; this is from {when}.</translation>
    </message>
    <message>
        <source>查看退款 {amount}</source>
        <translation>See the refund of {amount}</translation>
    </message>
    <message>
        <source>争议</source>
        <translation>Disputes</translation>
    </message>
    <message>
        <source>查看争议 {amount}</source>
        <translation>Show the dispute of {amount}</translation>
    </message>
    <message>
        <source>发货</source>
        <translation>Delivered</translation>
    </message>
    <message>
        <source>支付截止</source>
        <translation>Pay until</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>得知方式</source>
        <translation>Found by</translation>
    </message>
    <message>
        <source>{fee}（预估，以账单为准）</source>
        <translation>{fee} (estimated until the bill)</translation>
    </message>
    <message>
        <source>渠道手续费</source>
        <translation>Channel&apos;s fee</translation>
    </message>
    <message>
        <source>商户订单号</source>
        <translation>Our number</translation>
    </message>
    <message>
        <source>渠道流水号</source>
        <translation>Channel&apos;s number</translation>
    </message>
</context>
<context>
    <name>OrdersPage</name>
    <message>
        <source>订单</source>
        <translation>Orders</translation>
    </message>
    <message>
        <source>空格键预览一笔订单，斜杠键按订单号查找</source>
        <translation>Space peeks at an order, slash finds one by its code</translation>
    </message>
    <message>
        <source>订单号或渠道流水号 ( / )</source>
        <translation>Order code or number ( / )</translation>
    </message>
    <message>
        <source>订单列表</source>
        <translation>Orders</translation>
    </message>
    <message>
        <source>已复制订单号 {code}</source>
        <translation>Copied order code {code}</translation>
    </message>
    <message>
        <source>全部</source>
        <translation>All</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order code</translation>
    </message>
    <message>
        <source>下单时间</source>
        <translation>Placed at</translation>
    </message>
    <message>
        <source>内容</source>
        <translation>Content</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>没有符合条件的订单</source>
        <translation>No orders match</translation>
    </message>
    <message>
        <source>换个状态，或清空查找。</source>
        <translation>Try another state, or clear the search.</translation>
    </message>
    <message>
        <source>还没有订单</source>
        <translation>No orders yet</translation>
    </message>
    <message>
        <source>买家在店铺下单后会立即出现在这里。</source>
        <translation>They appear here as soon as buyers place them.</translation>
    </message>
</context>
<context>
    <name>Page</name>
    <message>
        <source>刷新 (F5)</source>
        <translation>Refresh (F5)</translation>
    </message>
</context>
<context>
    <name>PalettePanel</name>
    <message>
        <source>想做什么？输入名称或拼音首字母，# 加订单号查订单</source>
        <translation>What would you like to do? # and a code finds an order</translation>
    </message>
    <message>
        <source>查找命令</source>
        <translation>Find a command</translation>
    </message>
    <message>
        <source>找到的命令</source>
        <translation>Commands found</translation>
    </message>
    <message>
        <source>没有这样的命令</source>
        <translation>There is no such command</translation>
    </message>
</context>
<context>
    <name>Passphrases</name>
    <message>
        <source>凭据文件的口令</source>
        <translation>Passphrase of the credentials file</translation>
    </message>
    <message>
        <source>卡盟</source>
        <translation>Kameng</translation>
    </message>
</context>
<context>
    <name>PasteDialog</name>
    <message>
        <source>粘贴卡密</source>
        <translation>Paste keys</translation>
    </message>
    <message>
        <source>每行一张卡；卡号和卡密之间可以用 ---- 、制表符、逗号或空格隔开。下一步会预览。</source>
        <translation>One card a line; number and secret may be separated by ----, a tab, a comma or a space. You see a preview next.</translation>
    </message>
    <message>
        <source>每行一张卡</source>
        <translation>One card a line</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>预览</source>
        <translation>Preview</translation>
    </message>
    <message>
        <source>{lines} 行</source>
        <translation>{lines} lines</translation>
    </message>
</context>
<context>
    <name>PayoutPanel</name>
    <message>
        <source>打款详情</source>
        <translation>Details of the payout</translation>
    </message>
    <message numerus="yes">
        <source>已选 %n 笔打款</source>
        <translation>
            <numerusform>%n payout selected</numerusform>
            <numerusform>%n payouts selected</numerusform>
        </translation>
    </message>
    <message>
        <source>结算方式</source>
        <translation>How it is paid</translation>
    </message>
    <message>
        <source>结算单</source>
        <translation>Statements</translation>
    </message>
    <message>
        <source>发起</source>
        <translation>Made</translation>
    </message>
    <message>
        <source>复核</source>
        <translation>Checked by</translation>
    </message>
    <message>
        <source>提交</source>
        <translation>Sent</translation>
    </message>
    <message>
        <source>导出指令</source>
        <translation>Instruction exported</translation>
    </message>
    <message>
        <source>结束</source>
        <translation>Ended</translation>
    </message>
    <message>
        <source>流水号</source>
        <translation>Reference</translation>
    </message>
    <message>
        <source>备注</source>
        <translation>Note</translation>
    </message>
    <message numerus="yes">
        <source>打款指令 · %n 行</source>
        <translation>
            <numerusform>Instruction · %n row</numerusform>
            <numerusform>Instruction · %n rows</numerusform>
        </translation>
    </message>
    <message>
        <source>导出…</source>
        <translation>Export…</translation>
    </message>
    <message>
        <source>导出这笔打款的指令</source>
        <translation>Export this payout&apos;s instruction</translation>
    </message>
    <message>
        <source>还有 {n} 行，导出文件里都有。</source>
        <translation>{n} more rows; the exported file has all.</translation>
    </message>
</context>
<context>
    <name>PayoutsPage</name>
    <message>
        <source>打款列表</source>
        <translation>Payouts</translation>
    </message>
    <message>
        <source>导入结果</source>
        <translation>Import results</translation>
    </message>
    <message>
        <source>打开所在文件夹</source>
        <translation>Open its folder</translation>
    </message>
    <message>
        <source>一次导入一份打款结果，先读“{name}”</source>
        <translation>One result file at a time: “{name}” first</translation>
    </message>
    <message>
        <source>全部</source>
        <translation>All</translation>
    </message>
    <message>
        <source>这笔打款在等另一位同事复核。</source>
        <translation>This payout waits for another person&apos;s approval.</translation>
    </message>
    <message numerus="yes">
        <source>其中 %n 笔打款的指令之前导出过（{before}），请勿重复提交。</source>
        <translation>
            <numerusform>The instruction of %n of these payouts had been exported before ({before}): do not give it to the bank twice.</numerusform>
            <numerusform>The instructions of %n of these payouts had been exported before ({before}): do not give them to the bank twice.</numerusform>
        </translation>
    </message>
    <message>
        <source>店铺打给您的每一笔款，到账没有、流水号是多少</source>
        <translation>Every payment of the shop to you: whether it arrived, and its reference</translation>
    </message>
    <message>
        <source>导出指令</source>
        <translation>Export instructions</translation>
    </message>
    <message>
        <source>导出指令…</source>
        <translation>Export instructions…</translation>
    </message>
    <message>
        <source>所选打款在等另一位同事复核。</source>
        <translation>These payouts wait for another person&apos;s approval.</translation>
    </message>
    <message>
        <source>已写入 {path}，共 {n} 行指令。请交给银行或渠道；它们的结果文件拖进窗口即可导入。</source>
        <translation>Written to {path}: {n} rows. Carry them to the bank or the channel; drop its result file on this window afterwards.</translation>
    </message>
    <message numerus="yes">
        <source>%n 笔打款已提交，共 {amount}。请导出指令，交给银行或渠道。</source>
        <translation>
            <numerusform>%n payout of {amount} was sent. Export its instruction, and carry it to the bank or the channel.</numerusform>
            <numerusform>%n payouts of {amount} were sent. Export their instructions, and carry them to the bank or the channel.</numerusform>
        </translation>
    </message>
    <message>
        <source>一人发起、另一人复核；提交后导出指令，再导入结果</source>
        <translation>One makes, another approves; files to and from the bank</translation>
    </message>
    <message>
        <source>打款单号</source>
        <translation>Payout</translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>实际到账</source>
        <translation>Arrived</translation>
    </message>
    <message>
        <source>结算单</source>
        <translation>Statements</translation>
    </message>
    <message>
        <source>流水号</source>
        <translation>Reference</translation>
    </message>
    <message>
        <source>发起人</source>
        <translation>Made by</translation>
    </message>
    <message>
        <source>发起时间</source>
        <translation>Made</translation>
    </message>
    <message>
        <source>没有这种状态的打款</source>
        <translation>No payouts of this state</translation>
    </message>
    <message>
        <source>换个状态看看。</source>
        <translation>Try another state.</translation>
    </message>
    <message>
        <source>还没有打款</source>
        <translation>No payouts yet</translation>
    </message>
    <message>
        <source>结算单确认之后，店铺会发起打款。</source>
        <translation>The shop pays statements after they are confirmed.</translation>
    </message>
    <message>
        <source>在“结算单”里对已确认的结算单发起打款。</source>
        <translation>Make a payout of a confirmed statement under “Statements”.</translation>
    </message>
</context>
<context>
    <name>Places</name>
    <message>
        <source>导入</source>
        <translation>Import</translation>
    </message>
    <message>
        <source>商品</source>
        <translation>Products</translation>
    </message>
    <message>
        <source>库存</source>
        <translation>Stock</translation>
    </message>
    <message>
        <source>库存预警</source>
        <translation>Stock alerts</translation>
    </message>
    <message>
        <source>订单</source>
        <translation>Orders</translation>
    </message>
    <message>
        <source>异常款项</source>
        <translation>Exceptions</translation>
    </message>
    <message>
        <source>退款</source>
        <translation>Refunds</translation>
    </message>
    <message>
        <source>支付渠道</source>
        <translation>Channels</translation>
    </message>
    <message>
        <source>对账</source>
        <translation>Reconciliation</translation>
    </message>
    <message>
        <source>结算</source>
        <translation>Settlement</translation>
    </message>
    <message>
        <source>账簿</source>
        <translation>Ledger</translation>
    </message>
</context>
<context>
    <name>ProductForm</name>
    <message>
        <source>新建商品</source>
        <translation>New product</translation>
    </message>
    <message>
        <source>保存为草稿；运营上架后买家才看得到。</source>
        <translation>It is saved as a draft; buyers see it once an operator publishes it.</translation>
    </message>
    <message>
        <source>规格（每个规格有自己的编码、单价和库存）</source>
        <translation>SKUs (each has its own code, price and stock)</translation>
    </message>
    <message>
        <source>编码</source>
        <translation>Code</translation>
    </message>
    <message>
        <source>名称</source>
        <translation>Name</translation>
    </message>
    <message>
        <source>单价（元）</source>
        <translation>Price (yuan)</translation>
    </message>
    <message>
        <source>再加一个规格</source>
        <translation>Add another SKU</translation>
    </message>
    <message>
        <source>卡密规则与销售方式</source>
        <translation>Key rules and how it sells</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>保存草稿</source>
        <translation>Save draft</translation>
    </message>
    <message>
        <source>分类</source>
        <translation>Category</translation>
    </message>
    <message>
        <source>一句话介绍</source>
        <translation>Summary</translation>
    </message>
    <message>
        <source>100 元面值</source>
        <translation>100 yuan value</translation>
    </message>
    <message>
        <source>去掉第 {n} 个规格</source>
        <translation>Remove SKU {n}</translation>
    </message>
    <message>
        <source>第 {n} 个规格：{field}</source>
        <translation>SKU {n}: {field}</translation>
    </message>
    <message>
        <source>需要填写</source>
        <translation>is needed</translation>
    </message>
    <message>
        <source>只能用字母、数字、点、横线和下划线</source>
        <translation>may have letters, digits, dots, dashes and underscores only</translation>
    </message>
    <message>
        <source>请填写大于 0 的金额，最多四位小数</source>
        <translation>needs an amount above 0 with at most four decimals</translation>
    </message>
    <message>
        <source>与上面的规格编码相同</source>
        <translation>is the same as a code above</translation>
    </message>
    <message>
        <source>还有没填的内容，已用红框标出。</source>
        <translation>Something is missing; it is marked in red.</translation>
    </message>
</context>
<context>
    <name>ProductsPage</name>
    <message>
        <source>商品</source>
        <translation>Products</translation>
    </message>
    <message>
        <source>新建草稿，由运营上架</source>
        <translation>You draft products, an operator publishes them</translation>
    </message>
    <message>
        <source>供应商的商品，上架后立即可买</source>
        <translation>Suppliers&apos; products; published ones sell at once</translation>
    </message>
    <message>
        <source>卡密规则</source>
        <translation>Key rules</translation>
    </message>
    <message>
        <source>上架</source>
        <translation>Publish</translation>
    </message>
    <message>
        <source>下架</source>
        <translation>Take off sale</translation>
    </message>
    <message>
        <source>新建商品</source>
        <translation>New product</translation>
    </message>
    <message>
        <source>按名称或编码筛选 ( / )</source>
        <translation>Filter by name or code ( / )</translation>
    </message>
    <message>
        <source>商品列表</source>
        <translation>Products</translation>
    </message>
    <message>
        <source>“{name}”已存为草稿，等待运营上架</source>
        <translation>“{name}” is saved as a draft and waits for an operator</translation>
    </message>
    <message>
        <source>“{name}”的规则已保存</source>
        <translation>The rules of “{name}” are saved</translation>
    </message>
    <message>
        <source>“{name}”已上架</source>
        <translation>“{name}” is on sale</translation>
    </message>
    <message>
        <source>“{name}”已下架</source>
        <translation>“{name}” is off sale</translation>
    </message>
    <message>
        <source>名称</source>
        <translation>Name</translation>
    </message>
    <message>
        <source>编码</source>
        <translation>Code</translation>
    </message>
    <message>
        <source>分类</source>
        <translation>Category</translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>单价</source>
        <translation>Price</translation>
    </message>
    <message>
        <source>规格数</source>
        <translation>SKUs</translation>
    </message>
    <message>
        <source>未售</source>
        <translation>Unsold</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>没有符合“{query}”的商品</source>
        <translation>No product matches “{query}”</translation>
    </message>
    <message>
        <source>换个词，或清空筛选。</source>
        <translation>Try another word, or clear the filter.</translation>
    </message>
    <message>
        <source>先建一个商品和它的规格，就可以导入卡密了。</source>
        <translation>Draft a product with its SKUs, then you can import keys.</translation>
    </message>
    <message>
        <source>还没有商品</source>
        <translation>No products yet</translation>
    </message>
    <message>
        <source>供应商新建的商品会出现在这里，等您上架。</source>
        <translation>Products that suppliers draft appear here, for you to publish.</translation>
    </message>
</context>
<context>
    <name>ReadingBar</name>
    <message>
        <source>编码</source>
        <translation>Encoding</translation>
    </message>
    <message>
        <source>分隔符</source>
        <translation>Separator</translation>
    </message>
    <message>
        <source>工作表</source>
        <translation>Sheet</translation>
    </message>
    <message>
        <source>标题行</source>
        <translation>Heading</translation>
    </message>
    <message>
        <source>卡密列</source>
        <translation>Secret</translation>
    </message>
    <message>
        <source>卡号列</source>
        <translation>Card number</translation>
    </message>
    <message>
        <source>有效期列</source>
        <translation>Expiry</translation>
    </message>
    <message>
        <source>有效期写法</source>
        <translation>Dates are written</translation>
    </message>
    <message>
        <source>成本列</source>
        <translation>Cost column</translation>
    </message>
    <message>
        <source>可用次数列</source>
        <translation>Uses column</translation>
    </message>
    <message>
        <source>例如 8.70，可不填</source>
        <translation>optional, as 8.70</translation>
    </message>
    <message>
        <source>每张成本（元）</source>
        <translation>Cost of each (yuan)</translation>
    </message>
    <message>
        <source>每张可用次数</source>
        <translation>Uses of each</translation>
    </message>
    <message>
        <source>没有</source>
        <translation>None</translation>
    </message>
    <message numerus="yes">
        <source>前 %n 行</source>
        <translation>
            <numerusform>First line</numerusform>
            <numerusform>First %n lines</numerusform>
        </translation>
    </message>
    <message>
        <source>制表符</source>
        <translation>Tab</translation>
    </message>
    <message>
        <source>空格</source>
        <translation>Space</translation>
    </message>
    <message>
        <source>整行一张卡</source>
        <translation>Whole line</translation>
    </message>
    <message>
        <source>年-月-日</source>
        <translation>year-month-day</translation>
    </message>
    <message>
        <source>日/月/年</source>
        <translation>day/month/year</translation>
    </message>
    <message>
        <source>月/日/年</source>
        <translation>month/day/year</translation>
    </message>
</context>
<context>
    <name>ReconciliationPage</name>
    <message>
        <source>对账</source>
        <translation>Reconciliation</translation>
    </message>
    <message>
        <source>添加账单</source>
        <translation>Add bills</translation>
    </message>
    <message>
        <source>当日对账工作簿…</source>
        <translation>Workbook of the day…</translation>
    </message>
    <message>
        <source>财务工作簿…</source>
        <translation>Finance workbook…</translation>
    </message>
    <message>
        <source>核验导出的文件…</source>
        <translation>Verify an exported file…</translation>
    </message>
    <message>
        <source>前一天 (Alt+←)</source>
        <translation>Previous day (Alt+←)</translation>
    </message>
    <message>
        <source>后一天 (Alt+→)</source>
        <translation>Next day (Alt+→)</translation>
    </message>
    <message>
        <source>业务日</source>
        <translation>Business day</translation>
    </message>
    <message>
        <source>去那一天</source>
        <translation>Go to that day</translation>
    </message>
    <message>
        <source>日结、差异或账目</source>
        <translation>Close, differences or books</translation>
    </message>
    <message>
        <source>按差异类型筛选</source>
        <translation>Filter by kind</translation>
    </message>
    <message>
        <source>按渠道筛选</source>
        <translation>Filter by channel</translation>
    </message>
    <message>
        <source>当天或全部日期</source>
        <translation>This day or all days</translation>
    </message>
    <message>
        <source>差异列表</source>
        <translation>Differences</translation>
    </message>
    <message>
        <source>正在导出…</source>
        <translation>Exporting…</translation>
    </message>
    <message>
        <source>导出与核验</source>
        <translation>Export and verify</translation>
    </message>
    <message>
        <source>日结</source>
        <translation>Close</translation>
    </message>
    <message>
        <source>差异 {n}</source>
        <translation>Differences {n}</translation>
    </message>
    <message>
        <source>差异</source>
        <translation>Differences</translation>
    </message>
    <message>
        <source>当日账目</source>
        <translation>Books</translation>
    </message>
    <message>
        <source>未结清</source>
        <translation>Not closed</translation>
    </message>
    <message>
        <source>这条差异在等另一位同事复核。</source>
        <translation>It waits for another person&apos;s approval.</translation>
    </message>
    <message>
        <source>连不上服务器，以下数字的读取时间：{age}</source>
        <translation>The server cannot be reached; these figures were read {age}.</translation>
    </message>
    <message numerus="yes">
        <source>前面还有 %n 天没有签署，最早的是 {day}。</source>
        <translation>
            <numerusform>%n day before is not signed: {day}.</numerusform>
            <numerusform>%n days before are not signed, the first is {day}.</numerusform>
        </translation>
    </message>
    <message>
        <source>正在读取…</source>
        <translation>Reading…</translation>
    </message>
    <message>
        <source>这一天还没有结束，数字会变</source>
        <translation>The day is not over; figures will change</translation>
    </message>
    <message>
        <source>平台账有对不上的地方，请看当日账目</source>
        <translation>Something in our books does not hold: see the books</translation>
    </message>
    <message>
        <source>当日平台账对得上</source>
        <translation>Our books of the day hold</translation>
    </message>
    <message>
        <source>全部类型</source>
        <translation>All kinds</translation>
    </message>
    <message>
        <source>全部渠道</source>
        <translation>All channels</translation>
    </message>
    <message>
        <source>当天</source>
        <translation>This day</translation>
    </message>
    <message>
        <source>全部日期</source>
        <translation>All days</translation>
    </message>
    <message>
        <source>类型</source>
        <translation>Kind</translation>
    </message>
    <message>
        <source>平台</source>
        <translation>Ours</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel&apos;s</translation>
    </message>
    <message>
        <source>差额</source>
        <translation>Off by</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>处理</source>
        <translation>Handling</translation>
    </message>
    <message>
        <source>订单或单号</source>
        <translation>Order or number</translation>
    </message>
    <message>
        <source>支付渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>日期</source>
        <translation>Day</translation>
    </message>
    <message>
        <source>没有符合条件的差异</source>
        <translation>No such differences</translation>
    </message>
    <message>
        <source>换个状态、类型或渠道。</source>
        <translation>Choose another state, kind or channel.</translation>
    </message>
    <message>
        <source>没有未处理的差异</source>
        <translation>No open differences</translation>
    </message>
    <message>
        <source>两边每一笔都对得上，或已经处理。</source>
        <translation>Everything agrees on both sides, or was handled.</translation>
    </message>
</context>
<context>
    <name>RefundPanel</name>
    <message>
        <source>退款详情</source>
        <translation>The refund</translation>
    </message>
    <message>
        <source>要退的内容</source>
        <translation>What goes back</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>说明</source>
        <translation>In words</translation>
    </message>
    <message>
        <source>退款规则</source>
        <translation>Refund rule</translation>
    </message>
    <message>
        <source>没有看过</source>
        <translation>Not seen</translation>
    </message>
    <message>
        <source>买家看卡密</source>
        <translation>Keys seen</translation>
    </message>
    <message>
        <source>渠道</source>
        <translation>Channel</translation>
    </message>
    <message>
        <source>退款单号</source>
        <translation>Refund number</translation>
    </message>
    <message>
        <source>经过</source>
        <translation>What happened</translation>
    </message>
    <message>
        <source>{who}：{words}</source>
        <translation>{who}: {words}</translation>
    </message>
    <message>
        <source>查看订单 {code}</source>
        <translation>See order {code}</translation>
    </message>
    <message>
        <source>买家的第 {n} 件</source>
        <translation>The buyer&apos;s no. {n}</translation>
    </message>
    <message>
        <source>在库存中查看</source>
        <translation>See it in stock</translation>
    </message>
    <message>
        <source>还有 {n} 张</source>
        <translation>{n} more</translation>
    </message>
    <message>
        <source>轮到：{whose}</source>
        <translation>With: {whose}</translation>
    </message>
    <message>
        <source>买家更想要一张新的卡密：补发比退款快，也不动钱。</source>
        <translation>The buyer would rather have a new key: faster than a refund, and no money moves.</translation>
    </message>
</context>
<context>
    <name>RefundPictures</name>
    <message>
        <source>图片</source>
        <translation>Images</translation>
    </message>
    <message>
        <source>买家</source>
        <translation>Buyer</translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>附上图片…</source>
        <translation>Add images…</translation>
    </message>
    <message>
        <source>JPEG、PNG 或 WebP，最多 3 张，每张不超过 2 MB；买家和店铺看得到</source>
        <translation>JPEG, PNG or WebP, up to 3, 2 MB each; buyer and shop see them</translation>
    </message>
    <message>
        <source>买家的第 {n} 张图片</source>
        <translation>The buyer&apos;s image {n}</translation>
    </message>
    <message>
        <source>供应商的第 {n} 张图片</source>
        <translation>The supplier&apos;s image {n}</translation>
    </message>
    <message>
        <source>这张图片无法显示</source>
        <translation>This image cannot be shown</translation>
    </message>
</context>
<context>
    <name>RefundsPage</name>
    <message>
        <source>退款</source>
        <translation>Refunds</translation>
    </message>
    <message>
        <source>退款列表</source>
        <translation>List of refunds</translation>
    </message>
    <message>
        <source>待我处理 {n}</source>
        <translation>With me {n}</translation>
    </message>
    <message>
        <source>待我处理</source>
        <translation>With me</translation>
    </message>
    <message>
        <source>全部</source>
        <translation>All</translation>
    </message>
    <message>
        <source>买家说卡密有问题：核对后同意、补发或说明依据；到时不答复由店铺裁定</source>
        <translation>Buyers say that a key is bad: agree, replace it, or give evidence; without an answer the shop decides</translation>
    </message>
    <message>
        <source>谁在处理、还剩多久，一直跟到渠道说钱已退回</source>
        <translation>Who has it and until when, until the channel says that the money is back</translation>
    </message>
    <message>
        <source>申请时间</source>
        <translation>Asked</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>内容</source>
        <translation>Items</translation>
    </message>
    <message>
        <source>金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>轮到谁</source>
        <translation>With</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>没有等您处理的退款</source>
        <translation>No refund waits for you</translation>
    </message>
    <message>
        <source>点“全部”查看其他退款。</source>
        <translation>“All” shows the others.</translation>
    </message>
    <message>
        <source>没有符合条件的退款</source>
        <translation>No refund matches</translation>
    </message>
    <message>
        <source>换个状态看看。</source>
        <translation>Try another state.</translation>
    </message>
</context>
<context>
    <name>ResultsCard</name>
    <message>
        <source>正在处理…</source>
        <translation>Working…</translation>
    </message>
    <message>
        <source>确定导入结果</source>
        <translation>Import the results</translation>
    </message>
    <message>
        <source>关闭</source>
        <translation>Close</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>“{name}”已导入：{told}。</source>
        <translation>“{name}” was taken in: {told}.</translation>
    </message>
    <message>
        <source>“{name}”：{told}。整份一起导入，有一行不符就都不导入。</source>
        <translation>“{name}”: {told}. It is taken in whole, or not at all when one row does not fit.</translation>
    </message>
    <message>
        <source>正在读取“{name}”…</source>
        <translation>Reading “{name}”…</translation>
    </message>
    <message>
        <source>还有 {n} 行</source>
        <translation>{n} more rows</translation>
    </message>
</context>
<context>
    <name>RevealSheet</name>
    <message>
        <source>查看卡密明文</source>
        <translation>Reveal a key</translation>
    </message>
    <message>
        <source>例如：买家反馈无法兑换，核对订单</source>
        <translation>For example: the buyer cannot redeem it</translation>
    </message>
    <message>
        <source>原因</source>
        <translation>Reason</translation>
    </message>
    <message>
        <source>6 位动态码</source>
        <translation>6-digit code</translation>
    </message>
    <message>
        <source>复制</source>
        <translation>Copy</translation>
    </message>
    <message>
        <source>关闭</source>
        <translation>Close</translation>
    </message>
    <message>
        <source>查看</source>
        <translation>Reveal</translation>
    </message>
    <message>
        <source>正在查看…</source>
        <translation>Asking…</translation>
    </message>
    <message>
        <source>明文已隐藏。需要时请重新输入动态码。</source>
        <translation>The key is hidden. Type a new code to see it again.</translation>
    </message>
    <message>
        <source>谁在何时因何查看，会先记入日志，再显示明文。</source>
        <translation>Who looks, when and why is logged before the key is shown.</translation>
    </message>
    <message>
        <source>{seconds} 秒后隐藏，切换到其他窗口时立即隐藏。查看时间 {when}</source>
        <translation>Hidden in {seconds} s, and at once when you switch windows. Shown at {when}</translation>
    </message>
    <message>
        <source>已复制，隐藏时会清空剪贴板</source>
        <translation>copied; the clipboard is emptied with it</translation>
    </message>
</context>
<context>
    <name>Rows</name>
    <message>
        <source>再加一行</source>
        <translation>One more row</translation>
    </message>
    <message>
        <source>去掉这一行</source>
        <translation>Remove this row</translation>
    </message>
</context>
<context>
    <name>RuleSheet</name>
    <message>
        <source>预警规则</source>
        <translation>Alert rule</translation>
    </message>
    <message>
        <source>在售少于</source>
        <translation>Fewer for sale than</translation>
    </message>
    <message>
        <source>张</source>
        <translation>keys</translation>
    </message>
    <message>
        <source>按近 7 天的速度，够卖不到</source>
        <translation>At the pace of 7 days, lasts less than</translation>
    </message>
    <message>
        <source>天</source>
        <translation>days</translation>
    </message>
    <message>
        <source>有卡密要停售，还剩不到</source>
        <translation>Keys stop selling in less than</translation>
    </message>
    <message>
        <source>每次越过界线只提醒一次，明显回升后才会再提醒。卖空总会提醒。</source>
        <translation>Told once each time a line is crossed, and again only after a clear recovery. Selling out is always told.</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>保存规则</source>
        <translation>Save rules</translation>
    </message>
</context>
<context>
    <name>RulesFields</name>
    <message>
        <source>卡密长度</source>
        <translation>Length</translation>
    </message>
    <message>
        <source>个字符</source>
        <translation>characters</translation>
    </message>
    <message>
        <source>允许的字符</source>
        <translation>Characters</translation>
    </message>
    <message>
        <source>校验位</source>
        <translation>Check digit</translation>
    </message>
    <message>
        <source>销售顺序</source>
        <translation>Sale order</translation>
    </message>
    <message>
        <source>到期前停售</source>
        <translation>Stop before expiry</translation>
    </message>
    <message>
        <source>天，临期卡密不再卖出</source>
        <translation>days; keys that expire sooner do not sell</translation>
    </message>
    <message>
        <source>退款规则</source>
        <translation>Refund policy</translation>
    </message>
    <message>
        <source>最短</source>
        <translation>Shortest</translation>
    </message>
    <message>
        <source>最长</source>
        <translation>Longest</translation>
    </message>
    <message>
        <source>不限</source>
        <translation>Any</translation>
    </message>
    <message>
        <source>数字</source>
        <translation>Digits</translation>
    </message>
    <message>
        <source>大写字母 + 数字</source>
        <translation>Capitals and digits</translation>
    </message>
    <message>
        <source>大写字母 + 数字 + 横线</source>
        <translation>Capitals, digits, dash</translation>
    </message>
    <message>
        <source>大写字母 + 数字，不含 0 O 1 I</source>
        <translation>Capitals and digits, no 0 O 1 I</translation>
    </message>
    <message>
        <source>大小写字母 + 数字</source>
        <translation>Letters and digits</translation>
    </message>
    <message>
        <source>十六进制</source>
        <translation>Hexadecimal</translation>
    </message>
    <message>
        <source>自己填写</source>
        <translation>Others</translation>
    </message>
    <message>
        <source>自己填写允许的字符</source>
        <translation>The characters, typed</translation>
    </message>
    <message>
        <source>没有</source>
        <translation>None</translation>
    </message>
    <message>
        <source>Luhn（模 10）</source>
        <translation>Luhn (mod 10)</translation>
    </message>
    <message>
        <source>模 97（末两位）</source>
        <translation>Mod 97 (last two)</translation>
    </message>
    <message>
        <source>大小写不同算同一张卡密</source>
        <translation>Keys that differ in case only are the same</translation>
    </message>
    <message>
        <source>创建后不能修改</source>
        <translation>Cannot be changed later</translation>
    </message>
    <message>
        <source>已入库的卡密按它比较过，不能再改</source>
        <translation>Stored keys were compared by it; it cannot change</translation>
    </message>
    <message>
        <source>快到期的总是先卖</source>
        <translation>What expires first always sells first</translation>
    </message>
    <message>
        <source>到期前停售的天数</source>
        <translation>Days before expiry</translation>
    </message>
    <message>
        <source>卖完自动下架，补货后自动上架</source>
        <translation>Off the shelf when sold out, back with new stock</translation>
    </message>
    <message>
        <source>按下单时的规则执行，修改只对新订单生效</source>
        <translation>Frozen into each order: a change holds for new ones</translation>
    </message>
    <message>
        <source>最短长度不能大于最长长度</source>
        <translation>The shortest length is more than the longest</translation>
    </message>
    <message>
        <source>请填写允许的字符，或选“不限”</source>
        <translation>Type the characters, or choose “Any”</translation>
    </message>
    <message>
        <source>用这些字符写不出带这种校验位的卡密</source>
        <translation>No key of these characters can have this check digit</translation>
    </message>
</context>
<context>
    <name>RulesSheet</name>
    <message>
        <source>卡密规则</source>
        <translation>Key rules</translation>
    </message>
    <message>
        <source>载入最新的规则</source>
        <translation>Load the newest rules</translation>
    </message>
    <message>
        <source>长度、字符和校验位只用来检查以后导入的卡密；销售顺序和停售天数对现有库存也生效。</source>
        <translation>Length, characters and check digit judge later imports only; sale order and days also apply to what is in stock.</translation>
    </message>
    <message>
        <source>取消</source>
        <translation>Cancel</translation>
    </message>
    <message>
        <source>保存规则</source>
        <translation>Save rules</translation>
    </message>
    <message>
        <source>这是最新的规则，请核对后再保存。</source>
        <translation>These are the newest rules; check them before you save.</translation>
    </message>
</context>
<context>
    <name>SampleTable</name>
    <message>
        <source>文件的前几行：原文与读取结果</source>
        <translation>First lines of the file: as they are and as read</translation>
    </message>
    <message>
        <source>行</source>
        <translation>Line</translation>
    </message>
    <message>
        <source>文件中的原文</source>
        <translation>As in the file</translation>
    </message>
    <message>
        <source>卡号</source>
        <translation>Number</translation>
    </message>
    <message>
        <source>卡密</source>
        <translation>Secret</translation>
    </message>
    <message>
        <source>结果</source>
        <translation>Result</translation>
    </message>
    <message>
        <source>有效期 · 成本 · 次数</source>
        <translation>Expiry · cost · uses</translation>
    </message>
    <message>
        <source>可导入</source>
        <translation>Valid</translation>
    </message>
</context>
<context>
    <name>SettlementPage</name>
    <message>
        <source>结算单</source>
        <translation>Statements</translation>
    </message>
    <message>
        <source>应结</source>
        <translation>Due</translation>
    </message>
    <message>
        <source>打款</source>
        <translation>Payouts</translation>
    </message>
    <message>
        <source>暂缓</source>
        <translation>Holds</translation>
    </message>
    <message>
        <source>条件</source>
        <translation>Terms</translation>
    </message>
    <message>
        <source>费率</source>
        <translation>Fees</translation>
    </message>
    <message>
        <source>工作日</source>
        <translation>Working days</translation>
    </message>
    <message>
        <source>结算</source>
        <translation>Settlement</translation>
    </message>
    <message>
        <source>结算的各部分</source>
        <translation>Parts of settlement</translation>
    </message>
</context>
<context>
    <name>SidePanel</name>
    <message>
        <source>关闭预览</source>
        <translation>Close the panel</translation>
    </message>
</context>
<context>
    <name>SignInView</name>
    <message>
        <source>主题</source>
        <translation>Theme</translation>
    </message>
    <message>
        <source>切换主题</source>
        <translation>Change theme</translation>
    </message>
    <message>
        <source>卡盟控制台</source>
        <translation>Kameng Console</translation>
    </message>
    <message>
        <source>登录后导入卡密、查看库存与订单</source>
        <translation>Sign in to import keys and see stock and orders</translation>
    </message>
    <message>
        <source>服务器地址</source>
        <translation>Server address</translation>
    </message>
    <message>
        <source>登录名</source>
        <translation>Login name</translation>
    </message>
    <message>
        <source>密码</source>
        <translation>Password</translation>
    </message>
    <message>
        <source>动态码（6 位）</source>
        <translation>One-time code (6 digits)</translation>
    </message>
    <message>
        <source>正在登录…</source>
        <translation>Signing in…</translation>
    </message>
    <message>
        <source>登录</source>
        <translation>Sign in</translation>
    </message>
    <message>
        <source>登录凭据保存在系统密钥环中，下次打开无需再登录。</source>
        <translation>Your sign-in is kept in the system&apos;s keyring; you need not sign in again next time.</translation>
    </message>
    <message>
        <source>登录凭据保存在用口令加密的文件中。</source>
        <translation>Your sign-in is kept in a file sealed by your passphrase.</translation>
    </message>
    <message>
        <source>这台电脑没有可用的系统密钥环：凭据只留在内存里，关闭窗口后需要重新登录。</source>
        <translation>This computer has no usable keyring: your sign-in stays in memory only, and you will sign in again after closing the window.</translation>
    </message>
</context>
<context>
    <name>StatementPanel</name>
    <message>
        <source>结算单详情</source>
        <translation>Details of the statement</translation>
    </message>
    <message numerus="yes">
        <source>已选 %n 张结算单</source>
        <translation>
            <numerusform>%n statement selected</numerusform>
            <numerusform>%n statements selected</numerusform>
        </translation>
    </message>
    <message>
        <source>不够抵扣的 {amount} 留到下一张结算单。</source>
        <translation>{amount} could not be covered and go to the next statement.</translation>
    </message>
    <message numerus="yes">
        <source>查看 %n 行明细</source>
        <translation>
            <numerusform>Show %n line</numerusform>
            <numerusform>Show %n lines</numerusform>
        </translation>
    </message>
    <message>
        <source>导出明细…</source>
        <translation>Export the lines…</translation>
    </message>
    <message>
        <source>结算日</source>
        <translation>Due day</translation>
    </message>
    <message>
        <source>结算方式</source>
        <translation>How it is paid</translation>
    </message>
    <message>
        <source>生成</source>
        <translation>Made</translation>
    </message>
    <message>
        <source>确认</source>
        <translation>Confirmed</translation>
    </message>
    <message>
        <source>打款到账</source>
        <translation>Paid</translation>
    </message>
    <message>
        <source>打款</source>
        <translation>Payout</translation>
    </message>
</context>
<context>
    <name>StatementsPage</name>
    <message>
        <source>结算单列表</source>
        <translation>Statements</translation>
    </message>
    <message>
        <source>打开所在文件夹</source>
        <translation>Open its folder</translation>
    </message>
    <message>
        <source>关闭</source>
        <translation>Close</translation>
    </message>
    <message>
        <source>返回结算单列表</source>
        <translation>Back to the statements</translation>
    </message>
    <message>
        <source>导出明细…</source>
        <translation>Export the lines…</translation>
    </message>
    <message>
        <source>结算明细</source>
        <translation>Lines of the statement</translation>
    </message>
    <message>
        <source>这张结算单没有明细</source>
        <translation>This statement has no lines</translation>
    </message>
    <message>
        <source>全部</source>
        <translation>All</translation>
    </message>
    <message numerus="yes">
        <source>{number} · {supplier} · %n 行 · 应付 {amount}</source>
        <translation>
            <numerusform>{number} · {supplier} · %n line · payable {amount}</numerusform>
            <numerusform>{number} · {supplier} · %n lines · payable {amount}</numerusform>
        </translation>
    </message>
    <message>
        <source>上期结转 {amount}</source>
        <translation>From before {amount}</translation>
    </message>
    <message>
        <source>已写入 {path}，共 {rows} 行明细。数据指纹 SHA-256：{hash}…</source>
        <translation>Written to {path}: {rows} rows of details. SHA-256 of its data: {hash}…</translation>
    </message>
    <message>
        <source>正在导出…</source>
        <translation>Exporting…</translation>
    </message>
    <message>
        <source>每张结算单都能逐行核对到订单、批次、支付和渠道账单</source>
        <translation>Every statement opens line by line, down to order, lot, payment and bill</translation>
    </message>
    <message>
        <source>核对、确认、发起打款；每一行都能追到订单、批次、支付和渠道账单</source>
        <translation>Look, confirm, pay; every line leads to its order, lot, payment and bill row</translation>
    </message>
    <message>
        <source>结算单号</source>
        <translation>Statement</translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>应付</source>
        <translation>Payable</translation>
    </message>
    <message>
        <source>已打款</source>
        <translation>Paid</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
    <message>
        <source>行数</source>
        <translation>Lines</translation>
    </message>
    <message>
        <source>结算日</source>
        <translation>Due day</translation>
    </message>
    <message>
        <source>结算释放</source>
        <translation>Released</translation>
    </message>
    <message>
        <source>退款扣减</source>
        <translation>Deducted</translation>
    </message>
    <message>
        <source>订单号</source>
        <translation>Order</translation>
    </message>
    <message>
        <source>内容</source>
        <translation>Items</translation>
    </message>
    <message>
        <source>类型</source>
        <translation>Kind</translation>
    </message>
    <message>
        <source>订单金额</source>
        <translation>Amount</translation>
    </message>
    <message>
        <source>服务费</source>
        <translation>Platform fee</translation>
    </message>
    <message>
        <source>结算金额</source>
        <translation>Net</translation>
    </message>
    <message>
        <source>渠道账单</source>
        <translation>Channel&apos;s bill</translation>
    </message>
    <message>
        <source>发货时间</source>
        <translation>Delivered</translation>
    </message>
    <message>
        <source>没有这种状态的结算单</source>
        <translation>No statements of this state</translation>
    </message>
    <message>
        <source>换个状态看看。</source>
        <translation>Try another state.</translation>
    </message>
    <message>
        <source>还没有结算单</source>
        <translation>No statements yet</translation>
    </message>
    <message>
        <source>“应结”里能看到还有什么没有结算，以及原因。</source>
        <translation>“Due” shows what is not settled yet, and why.</translation>
    </message>
    <message>
        <source>在“应结”里生成今天的结算单。</source>
        <translation>Make today&apos;s statements under “Due”.</translation>
    </message>
</context>
<context>
    <name>StockDetail</name>
    <message>
        <source>该规格的卡密去向</source>
        <translation>Where the keys of this SKU went</translation>
    </message>
    <message>
        <source>预警规则</source>
        <translation>Alert rule</translation>
    </message>
    <message>
        <source>导入到此规格</source>
        <translation>Import into this SKU</translation>
    </message>
    <message>
        <source>关闭详情</source>
        <translation>Close details</translation>
    </message>
    <message>
        <source>批次</source>
        <translation>Lots</translation>
    </message>
    <message>
        <source>卡密</source>
        <translation>Keys</translation>
    </message>
    <message>
        <source>批次或卡密</source>
        <translation>Lots or keys</translation>
    </message>
    <message>
        <source>在售 {n}</source>
        <translation>{n} for sale</translation>
    </message>
    <message>
        <source>入库</source>
        <translation>Imported</translation>
    </message>
    <message>
        <source>未售</source>
        <translation>Unsold</translation>
    </message>
</context>
<context>
    <name>StockPage</name>
    <message>
        <source>库存</source>
        <translation>Stock</translation>
    </message>
    <message>
        <source>各规格库存</source>
        <translation>Stock by SKU</translation>
    </message>
    <message>
        <source>规格</source>
        <translation>SKU</translation>
    </message>
    <message>
        <source>编码</source>
        <translation>Code</translation>
    </message>
    <message>
        <source>商品</source>
        <translation>Product</translation>
    </message>
    <message>
        <source>锁定</source>
        <translation>Held</translation>
    </message>
    <message>
        <source>已售</source>
        <translation>Sold</translation>
    </message>
    <message>
        <source>作废</source>
        <translation>Void</translation>
    </message>
    <message>
        <source>入库 = 未售 + 锁定 + 已售 + 作废</source>
        <translation>Imported = unsold + held + sold + void</translation>
    </message>
    <message>
        <source>查找卡密</source>
        <translation>Find keys</translation>
    </message>
    <message>
        <source>按名称或编码筛选，或粘贴多行卡密 ( / )</source>
        <translation>Filter by name or code, or paste keys ( / )</translation>
    </message>
    <message>
        <source>已复制批次 {lot} 的编号</source>
        <translation>Copied the id of lot {lot}</translation>
    </message>
    <message numerus="yes">
        <source>已冻结，%n 张停止销售</source>
        <translation>
            <numerusform>Frozen: %n key stopped selling</numerusform>
            <numerusform>Frozen: %n keys stopped selling</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>已解冻，%n 张恢复销售</source>
        <translation>
            <numerusform>Released: %n key sells again</numerusform>
            <numerusform>Released: %n keys sell again</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>正在撤回 %n 张</source>
        <translation>
            <numerusform>Withdrawing %n key</numerusform>
            <numerusform>Withdrawing %n keys</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>已作废 %n 张</source>
        <translation>
            <numerusform>%n key is void now</numerusform>
            <numerusform>%n keys are void now</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>另有 %n 张刚被买走，没有动</source>
        <translation>
            <numerusform>%n was just bought and stays</numerusform>
            <numerusform>%n were just bought and stay</numerusform>
        </translation>
    </message>
    <message>
        <source>；</source>
        <translation>; </translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>在售</source>
        <translation>For sale</translation>
    </message>
    <message>
        <source>未售</source>
        <translation>Unsold</translation>
    </message>
    <message>
        <source>预警</source>
        <translation>Alerts</translation>
    </message>
    <message>
        <source>没有符合“{query}”的规格</source>
        <translation>No SKU matches “{query}”</translation>
    </message>
    <message>
        <source>换个词，或清空筛选。</source>
        <translation>Try another word, or clear the filter.</translation>
    </message>
    <message>
        <source>还没有库存</source>
        <translation>No stock yet</translation>
    </message>
    <message>
        <source>把卡密文件拖到窗口任意位置，就会开始导入。</source>
        <translation>Drop a file of keys anywhere on the window to import it.</translation>
    </message>
    <message>
        <source>导入卡密</source>
        <translation>Import keys</translation>
    </message>
    <message>
        <source>供应商导入卡密后会出现在这里。</source>
        <translation>It appears here once suppliers import keys.</translation>
    </message>
</context>
<context>
    <name>TermsPage</name>
    <message>
        <source>与供应商约定的周期、起结金额和收款账户；按发货时的约定结算</source>
        <translation>Cycles, minimums and accounts; a line follows what was agreed when it was delivered</translation>
    </message>
    <message>
        <source>结算条件列表</source>
        <translation>Terms of suppliers</translation>
    </message>
    <message>
        <source>没有供应商</source>
        <translation>No suppliers</translation>
    </message>
    <message>
        <source>供应商</source>
        <translation>Supplier</translation>
    </message>
    <message>
        <source>结算方式</source>
        <translation>How it is paid</translation>
    </message>
    <message>
        <source>周期</source>
        <translation>Cycle</translation>
    </message>
    <message>
        <source>起算</source>
        <translation>Counted from</translation>
    </message>
    <message>
        <source>级别</source>
        <translation>Tier</translation>
    </message>
    <message>
        <source>生效时间</source>
        <translation>Since</translation>
    </message>
    <message>
        <source>约定人</source>
        <translation>By</translation>
    </message>
</context>
<context>
    <name>TermsPanel</name>
    <message>
        <source>结算条件</source>
        <translation>Terms of settlement</translation>
    </message>
    <message>
        <source>历次约定</source>
        <translation>What was agreed</translation>
    </message>
    <message>
        <source>默认条件</source>
        <translation>The standard terms</translation>
    </message>
</context>
<context>
    <name>Toast</name>
    <message>
        <source>关闭通知</source>
        <translation>Dismiss</translation>
    </message>
</context>
<context>
    <name>ToldPanel</name>
    <message>
        <source>详情</source>
        <translation>Details</translation>
    </message>
    <message>
        <source>查看订单 {code}</source>
        <translation>Open order {code}</translation>
    </message>
</context>
<context>
    <name>UnitsView</name>
    <message>
        <source>卡密列表，内容已隐藏</source>
        <translation>Keys, covered</translation>
    </message>
    <message>
        <source>没有符合条件的卡密</source>
        <translation>No keys like that</translation>
    </message>
    <message>
        <source>换一个状态或批次看看。</source>
        <translation>Try another state or lot.</translation>
    </message>
    <message>
        <source>以这几位结尾的卡密，内容已隐藏</source>
        <translation>Card keys that end so, with their content hidden</translation>
    </message>
    <message>
        <source>没有以“{tail}”结尾的卡密</source>
        <translation>No card key ends with “{tail}”</translation>
    </message>
    <message>
        <source>只比较末尾几位；有整张卡密时，请用“查找卡密”。</source>
        <translation>Only the last characters are compared; for whole card keys, use “Find keys”.</translation>
    </message>
    <message>
        <source>卡密末 2–4 位</source>
        <translation>Key&apos;s last 2–4</translation>
    </message>
    <message>
        <source>只看一个批次</source>
        <translation>Only one lot</translation>
    </message>
    <message>
        <source>查看明文</source>
        <translation>Reveal</translation>
    </message>
    <message>
        <source>作废所选</source>
        <translation>Void selected</translation>
    </message>
    <message>
        <source>已选 {n} 张</source>
        <translation>{n} selected</translation>
    </message>
    <message>
        <source>全部批次</source>
        <translation>All lots</translation>
    </message>
    <message>
        <source>载入更多批次…</source>
        <translation>Load more lots…</translation>
    </message>
    <message>
        <source>编号</source>
        <translation>Number</translation>
    </message>
    <message>
        <source>卡密（已遮盖）</source>
        <translation>Key (covered)</translation>
    </message>
    <message>
        <source>过期日</source>
        <translation>Expires</translation>
    </message>
    <message>
        <source>文件</source>
        <translation>File</translation>
    </message>
    <message>
        <source>售出时间</source>
        <translation>Sold</translation>
    </message>
    <message>
        <source>作废原因</source>
        <translation>Why void</translation>
    </message>
    <message>
        <source>状态</source>
        <translation>State</translation>
    </message>
</context>
<context>
    <name>Waiting</name>
    <message>
        <source>未到账的日子</source>
        <translation>Days whose money has not come</translation>
    </message>
    <message>
        <source>应结</source>
        <translation>Due</translation>
    </message>
    <message>
        <source>已到</source>
        <translation>Arrived</translation>
    </message>
    <message>
        <source>还差</source>
        <translation>Short</translation>
    </message>
    <message>
        <source>去 {day}</source>
        <translation>Go to {day}</translation>
    </message>
    <message numerus="yes">
        <source>共 %n 天，还差 {money}</source>
        <translation>
            <numerusform>%n day, {money} short</numerusform>
            <numerusform>%n days, {money} short</numerusform>
        </translation>
    </message>
    <message>
        <source>其中 {money} 已登记，待复核</source>
        <translation>{money} of it is recorded and waits for approval</translation>
    </message>
    <message>
        <source>提现与银行到账</source>
        <translation>Withdrawals and arrivals</translation>
    </message>
    <message>
        <source>{day} 到账 {money}（{number}）：账单里没有对应的提现</source>
        <translation>{money} arrived {day} ({number}): no withdrawal of a bill is that</translation>
    </message>
    <message numerus="yes">
        <source>还有 %n 笔</source>
        <translation>
            <numerusform>%n more</numerusform>
            <numerusform>%n more</numerusform>
        </translation>
    </message>
    <message>
        <source>{day} 提现 {money}（{number}）：还没有对应的到账</source>
        <translation>{money} withdrawn {day} ({number}): no arrival is that yet</translation>
    </message>
    <message>
        <source>{day} 提现退回 {money}（{number}）：没有对应的提现</source>
        <translation>{day}: {money} of a withdrawal came back ({number}), of which none is known</translation>
    </message>
    <message>
        <source>{day} 提现 {money}（{number}）已退回，{who} 标记</source>
        <translation>{day}: withdrawal {money} ({number}) came back, says {who}</translation>
    </message>
    <message>
        <source>{day} 提现退回 {money}（{number}）← {when} 的提现（{other}），{how}</source>
        <translation>{day}: {money} came back ({number}) of the withdrawal of {when} ({other}), {how}</translation>
    </message>
    <message>
        <source>{day} 提现 {money}（{number}）→ {when} 退回（{other}），{how}</source>
        <translation>{day}: withdrawal {money} ({number}) → came back {when} ({other}), {how}</translation>
    </message>
    <message>
        <source>{day} 提现 {money}（{number}）→ {when} 到账 {came}（{reference}），{how}</source>
        <translation>{money} withdrawn {day} ({number}) → {came} arrived {when} ({reference}), {how}</translation>
    </message>
    <message>
        <source>按流水号配对</source>
        <translation>paired by the number</translation>
    </message>
    <message>
        <source>按金额和日期配对</source>
        <translation>paired by amount and day</translation>
    </message>
    <message>
        <source>{who} 配对</source>
        <translation>paired by {who}</translation>
    </message>
</context>
<context>
    <name>Window</name>
    <message>
        <source>查看</source>
        <translation>Look</translation>
    </message>
    <message>
        <source>卡盟控制台</source>
        <translation>Kameng Console</translation>
    </message>
    <message>
        <source>本机缓存已损坏并重建，列表会从服务器重新读取。</source>
        <translation>The local cache was damaged and made anew; lists are read from the server again.</translation>
    </message>
    <message>
        <source>程序内部出错（{kind}），详情已记入日志。</source>
        <translation>The program has a fault ({kind}); the log has the details.</translation>
    </message>
    <message>
        <source>上次没有正常退出，记录在 {path}</source>
        <translation>The last run did not end properly; the trace is in {path}</translation>
    </message>
    <message numerus="yes">
        <source>松开鼠标，预览并导入 %n 个文件</source>
        <translation>
            <numerusform>Let go to preview and import %n file</numerusform>
            <numerusform>Let go to preview and import %n files</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>松开鼠标，添加 %n 份渠道账单</source>
        <translation>
            <numerusform>Drop to add %n bill</numerusform>
            <numerusform>Drop to add %n bills</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>松开鼠标，读取 %n 份打款结果</source>
        <translation>
            <numerusform>Drop to read %n file of payout results</numerusform>
            <numerusform>Drop to read %n files of payout results</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>松开鼠标，再选择 %n 个文件是什么</source>
        <translation>
            <numerusform>Drop, then say what %n file is</numerusform>
            <numerusform>Drop, then say what %n files are</numerusform>
        </translation>
    </message>
    <message>
        <source>请先登录，再导入文件</source>
        <translation>Sign in first, then import files</translation>
    </message>
    <message>
        <source>您的账号不能导入卡密</source>
        <translation>Your account cannot import keys</translation>
    </message>
    <message numerus="yes">
        <source>还有 %n 个</source>
        <translation>
            <numerusform>and %n more</numerusform>
            <numerusform>and %n more</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Words</name>
    <message>
        <source>{n} 天前</source>
        <translation>{n} d ago</translation>
    </message>
    <message>
        <source>{n} 小时前</source>
        <translation>{n} h ago</translation>
    </message>
    <message>
        <source>{n} 分钟前</source>
        <translation>{n} min ago</translation>
    </message>
    <message>
        <source>刚刚</source>
        <translation>just now</translation>
    </message>
    <message>
        <source>数据：{age}</source>
        <translation>Data: {age}</translation>
    </message>
    <message>
        <source>程序内部出错（{kind}），详情已记入日志。</source>
        <translation>The program has a fault ({kind}); the log has the details.</translation>
    </message>
</context>
<context>
    <name>_LedgerCases</name>
    <message>
        <source>全部</source>
        <translation>All</translation>
    </message>
</context>
</TS>
