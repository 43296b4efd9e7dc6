-- Write rows of one view to the online store in Feast's format: for each entity, only what is newer than what is there.
--
-- KEYS: one hash per row. ARGV: the name of the hash's field with the event time (Feast's), that with both times (ours), the
-- number of features, their names, then for each row its event time, its created time (both protobuf Timestamps) and values.
-- Returns how many rows were written, and how many were older than what is there.

-- The seconds and nanoseconds of a protobuf Timestamp.
local function decode(bytes)
  local found, at = {0, 0}, 1
  while at <= #bytes do
    local field = math.floor(bytes:byte(at) / 8)
    local value, complement, scale, length = 0, 0, 1, 0
    repeat
      at, length = at + 1, length + 1
      local byte = bytes:byte(at)
      local seven = byte % 128
      if length < 10 then -- 63 bits; the tenth byte is the sign
        value, complement = value + seven * scale, complement + (127 - seven) * scale
        scale = scale * 128
      end
    until byte < 128
    found[field] = length == 10 and -complement - 1 or value
    at = at + 1
  end
  return found[1], found[2]
end

-- 1 if the first time is later, -1 if it is earlier, 0 if they are equal.
local function compare(one, other)
  if one == other then return 0 end
  local seconds, nanos = decode(one)
  local seconds_of_other, nanos_of_other = decode(other)
  if seconds ~= seconds_of_other then return seconds > seconds_of_other and 1 or -1 end
  if nanos ~= nanos_of_other then return nanos > nanos_of_other and 1 or -1 end
  return 0
end

local event_name, both_name, features = ARGV[1], ARGV[2], tonumber(ARGV[3])
local written, older, at = 0, 0, 3 + features
for _, key in ipairs(KEYS) do
  local event, created = ARGV[at + 1], ARGV[at + 2]
  local there = redis.call('HMGET', key, event_name, both_name)
  local order = 1
  if there[1] then
    order = compare(event, there[1])
    if order == 0 then
      -- Without ours, or with ours for another event time, Feast itself wrote this row: when it was created is not known.
      local both = there[2] or '\0'
      local length = both:byte(1)
      order = both:sub(2, length + 1) == there[1] and there[2] and compare(created, both:sub(length + 2)) or 1
    end
  end
  if order > 0 then
    local set = {event_name, event, both_name, string.char(#event) .. event .. created}
    for feature = 1, features do
      set[#set + 1] = ARGV[3 + feature]
      set[#set + 1] = ARGV[at + 2 + feature]
    end
    redis.call('HSET', key, unpack(set))
    written = written + 1
  elseif order < 0 then
    older = older + 1
  end
  at = at + 2 + features
end
return {written, older}
