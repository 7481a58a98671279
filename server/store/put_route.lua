-- Makes a route the user's online one of a client type.
--
-- KEYS[1]  hash of the user's routes
-- ARGV     field, text of the route, user, channel of the announcement (empty: none)
--
-- Returns the text that was there (nil if none), whether a key of another type had
-- to go (0 or 1), and why the announcement failed (nil if it did not).

local old = redis.pcall('HGET', KEYS[1], ARGV[1])
local foreign = 0
if type(old) == 'table' and old.err then
  if not string.find(old.err, 'WRONGTYPE', 1, true) then
    return old
  end
  redis.call('DEL', KEYS[1])
  old, foreign = false, 1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local told = ARGV[4] ~= '' and redis.pcall('PUBLISH', ARGV[4], ARGV[3])
return {old, foreign, type(told) == 'table' and told.err or false}
