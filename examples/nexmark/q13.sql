-- Bids with what a table outside says of their auction. `side_input` is a cache.
SELECT b.auction, b.bidder, b.price, b.dateTime, s.value
FROM bid b JOIN side_input s ON s.key = b.auction % 10000
