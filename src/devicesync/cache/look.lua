-- Says of each device what the cache knows without its values, or, where it holds none, since when.
-- KEYS: device ids, then the hash of tickets (in a cluster all of one slot). ARGV: a ticket nobody else has, how long tickets
-- are kept in ms, and how many at most. Returns per device its `_state` (state.lua), or "?" and its ticket.
--
-- A ticket says: the entry has been missing ever since this was given out, or was made with it. It is kept beside the entry, so
-- whatever loses the one may lose the other; merge.lua takes it away when it makes the entry, and writes it into the entry's
-- `_state`. Losing tickets is safe: their fills are looked for again.

local FORM = string.gsub(STATE, '[()]', '') -- it need not be taken apart here
local tickets = KEYS[#KEYS]

local function is_state(text)
  return type(text) == 'string' and #text <= LONGEST_STATE and string.find(text, FORM)
end

local function is_ticket(text)
  return type(text) == 'string' and #text <= #ARGV[1] and string.find(text, '^[0-9a-f]+$')
end

-- What the device's ticket is. A key of another type is another program's, and goes.
local function ticket_of(key)
  local ticket = redis.pcall('HGET', tickets, key)
  if type(ticket) ~= 'table' then return ticket end
  if not string.find(ticket.err, 'WRONGTYPE', 1, true) then error(ticket.err) end
  redis.call('DEL', tickets)
end

local replies, given = {}, false
for index = 1, #KEYS - 1 do
  local state = redis.pcall('HGET', KEYS[index], '_state')
  if is_state(state) then
    replies[index] = state
  else
    local ticket = ticket_of(KEYS[index])
    if not is_ticket(ticket) then
      if not given and redis.call('HLEN', tickets) > tonumber(ARGV[3]) then redis.call('DEL', tickets) end
      ticket, given = ARGV[1], true
      redis.call('HSET', tickets, KEYS[index], ticket)
    end
    replies[index] = '?' .. ticket
  end
end
if given then redis.call('PEXPIRE', tickets, ARGV[2]) end
return replies
