-- Bids of people who sell, with the person and what they sell.
SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime AS bid_dateTime, b.extra AS bid_extra,
  p.name, p.emailAddress, p.city, p.state, a.id, a.itemName, a.initialBid, a.expires, a.category
FROM bid b JOIN person p ON b.bidder = p.id JOIN auction a ON b.bidder = a.seller
