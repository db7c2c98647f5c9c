-- Says what hashes hold in our fields, where no value is longer than one of ours may be.
-- KEYS: device ids, then the hash of tickets, which is not looked at. Returns per device the values of NAMES in their order, false
-- where there is no hash, and LATER where the call has read much already: meanwhile the server answers nobody. Where one is too
-- long, it returns bytes that are no text: whether there is a `_state`, and that a hash is there.
--
-- NAMES, LONGEST, MOST_READ_BYTES and LATER stand before this text, made by redis_scripts.py.

local NO_TEXT = '\255'
local read_bytes = 0

local function damaged(has_state)
  local values = {}
  for spot = 1, #NAMES do values[spot] = NAMES[spot] == 'api_last_updated_on' and NO_TEXT end
  values[1] = has_state and NO_TEXT
  return values
end

local function values_of(key)
  if read_bytes > MOST_READ_BYTES then return LATER end
  local values = redis.pcall('HMGET', key, unpack(NAMES))
  if values.err then
    if not string.find(values.err, 'WRONGTYPE', 1, true) then error(values.err) end
    return false
  end
  local is_too_long = false
  for spot = 1, #NAMES do
    local size = #(values[spot] or '')
    read_bytes = read_bytes + size
    is_too_long = is_too_long or size > LONGEST[spot]
  end
  return is_too_long and damaged(values[1]) or values
end

local replies = {}
for index = 1, #KEYS - 1 do replies[index] = values_of(KEYS[index]) end
return replies
