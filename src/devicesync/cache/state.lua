-- The field `_state` of a hash: one text, so that one read gives all of it. look.lua and merge.lua both begin with this file.
-- The highest erase, the highest live registration, each facet's version (an empty one equals the highest live), then
-- api_last_updated_on, first_access, user_declared_on (also while none is declared), 1 while it is unsettled, and the ticket that
-- the entry was made with.

local STATE = '^(%d+),(%d+),' .. string.rep('(%d*),', FACETS) .. '(%d+),(%d+),(%d+),(%d),(%x+)$'

