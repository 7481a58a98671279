-- Takes the user's route of a client type offline if a connection still owns it.
--
-- KEYS[1]  hash of the user's routes
-- ARGV     field, connection, time in ms, user, channel of the announcement (empty:
--          none)
--
-- Returns whether that was so (0 or 1) and why the announcement failed (nil if it did
-- not). The announcement is made when the user has no online route any more.

local members = {'host', 'deviceId', 'osName', 'clientVersion', 'node', 'osVersion'}

local function decode(text)
  local ok, route = pcall(cjson.decode, text)
  return ok and type(route) == 'table' and route or nil
end

local function owner(route)
  local connection = route and route.connId
  return type(connection) == 'string' and connection ~= '' and connection or nil
end

local function member(route, name)
  local value = route[name]
  if type(value) ~= 'string' or value == '' then
    return ''
  end
  -- cjson writes \/ for every slash, which MPush does not
  return ',"' .. name .. '":' .. string.gsub(cjson.encode(value), '\\/', '/')
end

local function offline(route, since)
  local text = '{"port":' .. string.format('%.0f', tonumber(route.port) or 0)
  for _, name in ipairs(members) do
    text = text .. member(route, name)
  end
  return text .. ',"since":' .. since .. member(route, 'list') .. '}'
end

local all = redis.pcall('HGETALL', KEYS[1])
if all.err then
  if string.find(all.err, 'WRONGTYPE', 1, true) then
    return {0, false}
  end
  return all
end

local dropped, online = 0, 0
for i = 1, #all, 2 do
  local route = decode(all[i + 1])
  if all[i] == ARGV[1] and ARGV[2] ~= '' and owner(route) == ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[1], offline(route, ARGV[3]))
    dropped = 1
  elseif owner(route) then
    online = online + 1
  end
end

local failed = false
if dropped == 1 and online == 0 and ARGV[5] ~= '' then
  local told = redis.pcall('PUBLISH', ARGV[5], ARGV[4])
  failed = type(told) == 'table' and told.err or false
end

return {dropped, failed}
