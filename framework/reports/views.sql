-- every account of the chart in each of its assets, and the bucket of the waterfall that it feeds
CREATE VIEW accounts AS
SELECT * FROM (VALUES
{chart}
) AS chart(number, account, asset, type, decimals, bucket);

-- one row per transfer: amount in atomic units, units of the asset as a DECIMAL; times in UTC
CREATE VIEW transfers AS
SELECT seq, make_timestamp(at_ns // 1000) AS time, at_ns, event, kind, debit, credit, asset, amount,
    CAST(amount AS DECIMAL({width}, 0)) * CASE asset {atoms} END AS units
FROM {ledger};

-- two rows per transfer: the debit side above zero, the credit side below
CREATE VIEW postings AS
SELECT seq, time, at_ns, event, kind, debit AS account, asset, CAST(amount AS HUGEINT) AS amount, units FROM transfers
UNION ALL
SELECT seq, time, at_ns, event, kind, credit, asset, -CAST(amount AS HUGEINT), -units FROM transfers;

CREATE VIEW events AS SELECT make_timestamp(at_ns // 1000) AS time, * FROM {events};

CREATE VIEW market AS SELECT make_timestamp(at_ns // 1000) AS time, * FROM {market};

CREATE VIEW equity AS SELECT make_timestamp(at_ns // 1000) AS time, * FROM {equity};

-- every account by month, in atomic units: opening balance, debits, credits, closing balance
CREATE VIEW roll_forward AS SELECT * FROM {balances};

-- the close of each asset in each row of the market, the very decimals that were read
CREATE VIEW prices AS
{prices};

-- every account at the end: debits less credits, valued at the last close
CREATE VIEW balances AS
SELECT account, asset, type, coalesce(transfers, 0) AS transfers, coalesce(amount, 0) AS amount,
    coalesce(units, 0) AS units, price_usd, coalesce(units, 0) * price_usd AS value_usd
FROM accounts
LEFT JOIN (
    SELECT account, asset, count(*) AS transfers, sum(amount) AS amount, sum(units) AS units
    FROM postings GROUP BY account, asset
) USING (account, asset)
LEFT JOIN (
    SELECT asset, price_usd FROM prices WHERE row = (SELECT max(row) FROM market)
    UNION ALL SELECT 'USDC', CAST(1 AS DECIMAL({width}, {places}))
) USING (asset)
ORDER BY number;

-- what each account adds to its bucket, in USD: gains are positive, and all of it sums to the result of the run.
-- What moved is valued at the last close before it, or at the prices at which the run was opened.
CREATE VIEW waterfall AS
WITH quotes AS (
    SELECT at_ns, asset, price_usd FROM prices
    UNION ALL
    SELECT at_ns, asset, price_usd FROM ({opened})
), flows AS (
    SELECT account, asset, units * CAST(1 AS DECIMAL({width}, {places})) AS usd FROM postings WHERE asset = 'USDC'
    UNION ALL
    SELECT moved.account, moved.asset, moved.units * quotes.price_usd
    FROM (SELECT * FROM postings WHERE asset <> 'USDC') AS moved
    ASOF JOIN quotes ON moved.asset = quotes.asset AND moved.at_ns >= quotes.at_ns
)
SELECT bucket, account, asset,
    CASE WHEN type IN ('Assets', 'Liabilities') THEN value_usd - flow_usd ELSE -flow_usd END AS usd
FROM accounts
JOIN (SELECT account, asset, sum(usd) AS flow_usd FROM flows GROUP BY account, asset) USING (account, asset)
JOIN (SELECT account, asset, value_usd FROM balances) USING (account, asset)
WHERE bucket IS NOT NULL
ORDER BY number;
