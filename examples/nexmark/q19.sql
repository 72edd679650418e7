-- The ten highest bids of each auction, with their rank.
SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, dateTime, bidder) AS rank_number FROM bid
QUALIFY rank_number <= 10
