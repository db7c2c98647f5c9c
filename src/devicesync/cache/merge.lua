-- Joins states into profile hashes, as law/state.py joins them: the same law, in the server, one device at a time.
-- KEYS: device ids, then the hash of tickets (look.lua), in a cluster all of one slot. ARGV: the profiles' and the tombstones'
-- time to live in ms (0: for ever), "1" where the call has one device alone and nobody else's call waits behind it, then per device its State and two more as one flat MessagePack array: version, erased,
-- api_last_updated_on, first_access, user_declared_on, of each facet its version and the values of its FIELDS, the ticket or "",
-- whether the database shows this state: "yes", "no", or "" where nobody knows; and, where the state is to take the place of what
-- is held, the `_state` that must still be there, and a ticket for it. Returns per device: false when its ticket is no longer good, it is not held and
-- there is none, or another `_state` is there; 1 when the database may not show yet what is held (it is unsettled); else 0.
--
-- FACETS, DECLARED, LONGEST_STATE, FIELDS, FROM, TO, LONGEST, IS_MAP, MOST_ENTRIES, LONGEST_UNITED, MOST_UNITED_BYTES and LATER
-- stand before this text, made by redis_scripts.py.
--
-- Beside the fields that readers know, a hash holds `version` and `_state` (state.lua). Unsettled: events met here of which the
-- database's writers did not know, and each store alone can't join these (an erase and what came after it, a tie that empties a
-- facet). Numbers stay below 2^53, so Lua's doubles are exact.

local TICKET, SHOWN, MARK = 6 + FACETS + #FIELDS, 7 + FACETS + #FIELDS, 8 + FACETS + #FIELDS -- where these stand
local VERSION, VALUES = {}, {} -- where the version of each facet stands, and how far behind its place in FIELDS a value
for facet = 1, FACETS do VERSION[facet], VALUES[facet] = 4 + FROM[facet] + facet, 5 + facet end
local UNWRITTEN = {} -- of every facet the version 0
for facet = 1, FACETS do UNWRITTEN[facet] = 0 end

local profile_ttl, tombstone_ttl = tonumber(ARGV[1]), tonumber(ARGV[2])
local tickets = KEYS[#KEYS]

local function text(number)
  return number == 0 and '0' or string.format('%.0f', number)
end

local function earlier(one, other)
  if one == 0 then return other end
  if other == 0 then return one end
  return math.min(one, other)
end

local UPDATED = FACETS + 3 -- where api_last_updated_on stands in a `_state`; the others follow

local function read_state(packed)
  if #packed > LONGEST_STATE then return nil end
  local found = {string.match(packed, STATE)}
  if not found[1] then return nil end
  local live, facets = tonumber(found[2]), {unpack(found, 3, FACETS + 2)}
  for facet = 1, FACETS do
    local version = facets[facet]
    facets[facet] = version == '' and live or tonumber(version)
  end
  local first, since = found[UPDATED + 1], found[UPDATED + 2]
  return {
    erased = tonumber(found[1]), live = live, updated = tonumber(found[UPDATED]), first = tonumber(first), since = tonumber(since),
    facets = facets, first_text = first, since_text = since, unsettled = found[UPDATED + 3] == '1', made_with = found[UPDATED + 4],
  }
end

local parts = {} -- of the `_state` that is written; made once, for making a table takes time

-- live_text, updated_text, first_text, since_text: as text already; making text of numbers is what takes time here.
local function pack_state(erased, live, facets, live_text, updated_text, first_text, since_text, unsettled, made_with)
  parts[1], parts[2] = text(erased), live_text
  for facet = 1, FACETS do
    local version = facets[facet]
    parts[facet + 2] = version == live and '' or text(version)
  end
  parts[UPDATED], parts[UPDATED + 1], parts[UPDATED + 2] = updated_text, first_text, since_text
  parts[UPDATED + 3], parts[UPDATED + 4] = unsettled and '1' or '0', made_with
  return table.concat(parts, ',')
end

-- Text compares by locale in Lua's <; the law compares UTF-8 bytes.
local function is_less(one, other)
  local spot = 1
  while spot + 15 <= #one and string.sub(one, spot, spot + 15) == string.sub(other, spot, spot + 15) do spot = spot + 16 end
  for spot = spot, math.min(#one, #other) do
    local a, b = string.byte(one, spot), string.byte(other, spot)
    if a ~= b then return a < b end
  end
  return #one < #other
end

local function greater(one, other)
  return is_less(one, other) and other or one
end

-- Where the JSON string ends that begins at `start` with a quote: the position of its last quote; nil where it has no end. Plain
-- searches, for a pattern takes ten times as long.
local function end_of(map, start)
  local quote = string.find(map, '"', start + 1, true)
  while quote and string.byte(map, quote - 1) == 92 do
    local spot = quote - 2
    while string.byte(map, spot) == 92 do spot = spot - 1 end
    if (quote - spot) % 2 == 1 then break end -- of so many backslashes each escapes the next one
    quote = string.find(map, '"', quote + 1, true)
  end
  return quote
end

-- How often a character, which is none of a pattern's, is in a text.
local function count(text, character)
  if not string.find(text, character, 1, true) then return 0 end
  local _, found = string.gsub(text, character, '')
  return found
end

-- The same of the value of a map's key. One with a hundred quotes is found by its length: `at.texts` are all values as text.
local function end_of_value(at, start, key)
  local quote = string.find(at.map, '"', start + 1, true)
  if not quote or string.byte(at.map, quote - 1) ~= 92 then return quote end
  if not at.texts then
    local is_json, texts = pcall(cjson.decode, at.map)
    at.texts = is_json and texts or {}
  end
  local value = at.texts[key]
  if type(value) ~= 'string' then return nil end
  local finish = start + #cjson.encode(value) - 1 - count(value, '/') - 5 * count(value, '\127') -- of these cjson writes more
  return string.byte(at.map, finish) == 34 and finish or nil
end

-- The text between two quotes of a map; nil where its escapes are none of JSON.
local function text_between(map, start, finish)
  local inside = string.sub(map, start + 1, finish - 1)
  if not string.find(inside, '\\', 1, true) then return inside end
  local is_json, texts = pcall(cjson.decode, '["' .. inside .. '"]')
  return is_json and texts[1] or nil
end

-- Goes through the entries of a map. In `at` stand: the text of the key, nil behind the last entry; where the entry begins, where
-- its value begins and ends, what is behind it; whether any entry so far was long; how many there were.
local function entries_of(map)
  local at = {map = map, behind = 1, is_long = false, count = 0}
  function at.go_on()
    local start = at.behind + 1
    at.key = nil
    local key_end = string.byte(map, start) == 34 and end_of(map, start)
    if not key_end or string.sub(map, key_end, key_end + 2) ~= '":"' then return end
    local key = text_between(map, start, key_end)
    local value_end = key and end_of_value(at, key_end + 2, key)
    if not value_end then return end
    at.key = key
    at.start, at.value, at.value_end, at.behind = start, key_end + 2, value_end, value_end + 1
    at.count = at.count + 1
    at.is_long = at.is_long or math.max(key_end - start, value_end - at.value) > LONGEST_UNITED + 1
  end
  at.go_on()
  return at
end

local is_alone, united_bytes = ARGV[3] == '1', 0 -- bytes of all maps that this call has united

-- All entries of two maps given as canonical JSON text, the greater value per key. false where they are too many, or where
-- a map is long, unless it alone is, and is the union by itself. nil where `one` is no map of ours, or has more entries than one
-- of ours. LATER where that would take too long: meanwhile the server answers nobody. Both are sorted: what lies in `one` between
-- two entries of `other` is copied as it stands. cjson neither sorts nor writes UTF-8 as we do.
local function union(one, other)
  if string.sub(one, 1, 1) ~= '{' then return nil end
  united_bytes = united_bytes + #one + #other
  if united_bytes > MOST_UNITED_BYTES and not is_alone then return LATER end
  local mine, theirs = entries_of(one), entries_of(other)
  local parts, copied, both = {}, 1, 0 -- up to where `one` is in `parts`, and how many keys are in both
  local function add(text, upto, from)
    parts[#parts + 1], parts[#parts + 2], copied = string.sub(one, copied, upto), text, from
  end
  repeat
    local key = mine.key
    if not key then return nil end
    while theirs.key and theirs.key ~= key and is_less(theirs.key, key) do
      add(string.sub(other, theirs.start, theirs.value_end) .. ',', mine.start - 1, mine.start)
      theirs.go_on()
    end
    if theirs.key == key then
      local held = text_between(one, mine.value, mine.value_end)
      if not held then return nil end
      if is_less(held, text_between(other, theirs.value, theirs.value_end)) then
        add(string.sub(other, theirs.start, theirs.value_end), mine.start - 1, mine.behind)
      end
      both = both + 1
      theirs.go_on()
    end
    local behind = string.sub(one, mine.behind, mine.behind)
    if behind == ',' then mine.go_on() end
  until behind ~= ','
  if string.sub(one, mine.behind) ~= '}' then return nil end
  if theirs.key then add(',' .. string.sub(other, theirs.start), mine.behind - 1, mine.behind + 1) end
  while theirs.key do theirs.go_on() end
  if mine.count > MOST_ENTRIES then return nil end
  if mine.count + theirs.count - both > MOST_ENTRIES or (mine.is_long and theirs.is_long) then return false end
  local united = table.concat(parts) .. string.sub(one, copied)
  return (united == one or not mine.is_long) and (united == other or not theirs.is_long) and united
end

-- What two writes of one version leave of a facet, whether that differs from what is held, and whether from what is new. nil where
-- what is held is none of ours, LATER as `union` returns it.
local function tied(key, facet, new)
  local held = redis.call('HMGET', key, unpack(FIELDS, FROM[facet], TO[facet]))
  local merged, differs, adds, before = {}, false, false, VALUES[facet]
  for field = FROM[facet], TO[facet] do
    local mine, theirs = held[field - FROM[facet] + 1], new[before + field]
    if mine and #mine > LONGEST[field] then return nil end
    local value = mine and theirs and greater(mine, theirs) or nil
    if IS_MAP[field] and mine and theirs and mine ~= theirs then
      value = union(mine, theirs)
      if value == nil or value == LATER then return value end
      value = value or nil
    end
    if (value or false) ~= mine then differs = true end
    if value ~= (theirs or nil) then adds = true end
    merged[before + field] = value
  end
  return merged, differs, adds
end

-- Whether there is any value from one place to another.
local function has_any(values, from, to)
  for spot = from, to do
    if values[spot] then return true end
  end
  return false
end

local function is_declared(key)
  local held = redis.call('HMGET', key, unpack(FIELDS, FROM[DECLARED], TO[DECLARED]))
  return has_any(held, 1, #held)
end

-- Whether a State, or the part of one that a tie leaves, declares anything.
local function declares(new)
  return has_any(new, VALUES[DECLARED] + FROM[DECLARED], VALUES[DECLARED] + TO[DECLARED])
end

local function set_expiry(key, ttl)
  if ttl > 0 then redis.call('PEXPIRE', key, ttl) else redis.call('PERSIST', key) end
end

local function write_tombstone(key, erased, unsettled, made_with)
  redis.call('DEL', key)
  local state = pack_state(erased, 0, UNWRITTEN, '0', '0', '0', '0', unsettled, made_with)
  redis.call('HSET', key, 'version', text(erased), '_state', state)
  if tombstone_ttl > 0 then redis.call('PEXPIRE', key, tombstone_ttl) end
end

local NOTHING = {erased = 0, live = 0, updated = 0, first = 0, since = 0, first_text = '0', since_text = '0', unsettled = false}

-- What is held of the device. nil: it is not the entry that was looked at; or there is none, and none may be made.
local function held_of(key, ticket)
  local packed = redis.pcall('HGET', key, '_state')
  local held = type(packed) == 'string' and read_state(packed) or nil
  if held then
    if ticket ~= '' and ticket ~= held.made_with then return nil end
    return held, true
  end
  if ticket == '' or redis.pcall('HGET', tickets, key) ~= ticket then return nil end
  redis.call('HDEL', tickets, key)
  NOTHING.facets, NOTHING.made_with = {unpack(UNWRITTEN)}, ticket
  return NOTHING, false
end

-- Makes room where what is held is still what was seen; nil where something was joined into it since.
local function emptied(key, mark, ticket)
  if redis.call('HGET', key, '_state') ~= mark then return nil end
  redis.call('DEL', key)
  NOTHING.facets, NOTHING.made_with = {unpack(UNWRITTEN)}, ticket -- another one: who looked before does not know this entry
  return NOTHING, false
end

local function merge(key, new)
  local was, held = held_of(key, new[TICKET])
  if was and new[MARK] then was, held = emptied(key, new[MARK], new[MARK + 1]) end
  if not was then return false end
  local facets = was.facets
  local new_live, new_erased, new_updated = new[1], new[2], new[3]
  local erased, live, updated = math.max(was.erased, new_erased), was.live, was.updated
  if new_live > live then
    live, updated = new_live, new_updated
  elseif new_live == live then
    updated = math.max(updated, new_updated)
  end

  if live <= erased then
    local is_new, unsettled = not held or was.live > 0 or was.erased < erased, was.unsettled or new[SHOWN] == 'no'
    if new[SHOWN] == 'yes' and not is_new then unsettled = new_live > new_erased or new_erased < erased end
    if is_new or unsettled ~= was.unsettled then write_tombstone(key, erased, unsettled, was.made_with) end
    return unsettled and 1 or 0
  end

  local live_text, updated_text = text(live), text(updated)
  local set, size, clear = {'version', live_text, '_state', '', 'api_last_updated_on', updated_text}, 6, {}
  if was.live == 0 then redis.call('DEL', key) end
  local unsettled = was.unsettled or new[SHOWN] == 'no' or (erased > 0 and new_erased < erased)
  if was.erased < erased and was.live > erased then unsettled = true end
  if new[VERSION[DECLARED]] > 0 and not declares(new) then unsettled = true end
  local same = live == new_live and erased == new_erased and updated == new_updated
  local written, declared = false, nil
  for facet = 1, FACETS do
    local version, values, held_version, before = new[VERSION[facet]], new, facets[facet], VALUES[facet]
    local take = version > held_version and version > erased
    if version == held_version and version > erased then
      local adds
      values, take, adds = tied(key, facet, new)
      if values == LATER then return LATER end
      if not values then -- somebody else wrote into this hash: what the database knows replaces it
        redis.call('DEL', key)
        return false
      end
      if adds then same = false end
      -- Of one field the database itself keeps what we keep, unless nothing is left.
      if adds and (FROM[facet] < TO[facet] or not values[before + FROM[facet]]) then unsettled = true end
    end
    if take then
      if facet == DECLARED then
        declared = declares(values)
        if held_version > 0 and declared and not is_declared(key) then unsettled = true end
      end
      written, facets[facet] = true, version
      for field = FROM[facet], TO[facet] do
        local value = values[before + field]
        if value then
          set[size + 1], set[size + 2] = FIELDS[field], value
          size = size + 2
        elseif held_version > 0 then
          clear[#clear + 1] = FIELDS[field]
        end
      end
    elseif held_version > 0 and held_version <= erased then
      written, facets[facet] = true, 0
      if facet == DECLARED then declared = false end
      for field = FROM[facet], TO[facet] do clear[#clear + 1] = FIELDS[field] end
    end
    same = same and facets[facet] == version
  end

  local first, since = earlier(was.first, new[4]), earlier(was.since, new[5])
  if erased > 0 then
    first = (erased - erased % 1000) / 1000
    since = first
  end
  local tells_since = since > 0 and (declared ~= nil or since ~= was.since)
  if tells_since and declared == nil and facets[DECLARED] > 0 then
    declared = is_declared(key)
    if not declared then unsettled = true end
  end
  local differs = written or live ~= was.live or erased ~= was.erased or updated ~= was.updated or first ~= was.first
    or since ~= was.since
  if new[SHOWN] == 'yes' then
    if not (same and first == new[4] and since == new[5]) then
      unsettled = true -- what was settled was not all that is held: the row may hide the rest
    elseif not differs then
      unsettled = false
    end
  end
  if differs or not held or unsettled ~= was.unsettled then
    local first_text = first == was.first and was.first_text or text(first)
    local since_text = since == was.since and was.since_text or text(since)
    set[4] = pack_state(erased, live, facets, live_text, updated_text, first_text, since_text, unsettled, was.made_with)
    if first ~= was.first then
      set[size + 1], set[size + 2] = 'firstaccess', first_text
      size = size + 2
    end
    if tells_since then
      if declared then
        set[size + 1], set[size + 2] = 'user_declared_on', since_text
        size = size + 2
      elseif was.since > 0 then
        clear[#clear + 1] = 'user_declared_on'
      end
    end
    if #clear > 0 then redis.call('HDEL', key, unpack(clear)) end
    redis.call('HSET', key, unpack(set))
    set_expiry(key, profile_ttl)
  end
  return unsettled and 1 or 0
end

local replies = {}
for index = 1, #KEYS - 1 do
  replies[index] = merge(KEYS[index], cmsgpack.unpack(ARGV[index + 3]))
end
return replies
