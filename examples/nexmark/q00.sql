-- Passes bids through: what a stream costs without any work.
SELECT auction, bidder, price, dateTime, extra FROM bid
