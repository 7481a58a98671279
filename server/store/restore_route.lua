-- Writes a route that may have been lost, unless another connection has taken the
-- user since.
--
-- KEYS[1]  hash of the user's routes
-- ARGV     field, text of the route, connection, time in ms at which it came online
--
-- Returns whether it was written (0 or 1) and the text that was there (nil if none).
-- A route without a time is a Java node's: it can only have come after ours, which
-- replaced what was there before.

local old = redis.pcall('HGET', KEYS[1], ARGV[1])
if type(old) == 'table' and old.err then
  if not string.find(old.err, 'WRONGTYPE', 1, true) then
    return old
  end
  redis.call('DEL', KEYS[1])
  old = false
end
if old then
  local ok, route = pcall(cjson.decode, old)
  local connection = ok and type(route) == 'table' and route.connId
  if type(connection) == 'string' and connection ~= '' and connection ~= ARGV[3] then
    local since = tonumber(route.since)
    if not since or since >= tonumber(ARGV[4]) then
      return {0, old}
    end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {1, old}
