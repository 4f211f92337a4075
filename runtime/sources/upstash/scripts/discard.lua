--[[
  Forgets jobs that have ended and whose ends are reported.

    KEYS[1]  timetable
    KEYS[2]  index
    KEYS[3]  failures
    ARGV[1]  JSON {jobPrefix, failedPrefix, leaseMs}
    ARGV[…]  ids

  Answers {commands billed, {"discarded", "missing", "unreported", "queued" or "running" for each}}.
  Billed: 2 for each 8 jobs and 3 more; 2 when an end may be with a container; 3 for each group of failures.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/moments"
--- @include "lib/failures"

-- Records are read a few at a time: a body may have a megabyte.
local READ_AT_ONCE = 8
-- What happens within one lease time, at most. Where there is more, an end is taken for unreported.
local MAX_WINDOW = 5000
local SLACK_MS = 1000
local request = cjson.decode(ARGV[1])

-- Ends that are with a container, or waiting for one, by name. Those of attempts that settled their job leave none.
local openEnds, isCut
local function isReported(state)
  if state.status == 'completed' or (state.status == 'failed' and not state.error) then return true end
  -- One that was cancelled before its element came must stay, or the element would run.
  if not state.score then return false end
  if not openEnds then
    openEnds = {}
    local latest = scoreText(serverTime() + request.leaseMs + SLACK_MS)
    local window = call('ZRANGE', KEYS[1], 0, latest, 'BYSCORE', 'LIMIT', 0, MAX_WINDOW)
    isCut = #window == MAX_WINDOW
    for _, member in ipairs(window) do
      local name = string.match(member, '^:end:[^:]+:%d+')
      if name then openEnds[name] = true end
    end
  end
  return not isCut and not openEnds[endMember(state)]
end

local outcomes, keys, ids, members = {}, {}, {}, {}
local function visit(id, state)
  if not state then return 'missing' end
  if not state.settled then return state.status end
  if not isReported(state) then return 'unreported' end
  keys[#keys + 1] = request.jobPrefix .. id
  ids[#ids + 1] = id
  if state.mark then members[#members + 1] = state.mark end
  if state.expires then members[#members + 1] = expiryMember(state) end
  forgetFailure(state)
  return 'discarded'
end

for start = 2, #ARGV, READ_AT_ONCE do
  local some = { unpack(ARGV, start, math.min(start + READ_AT_ONCE - 1, #ARGV)) }
  local jobs = readRecords(request.jobPrefix, some)
  for place, id in ipairs(some) do
    outcomes[start + place - 2] = visit(id, jobs[id] and jobs[id].state)
    -- The same id twice.
    jobs[id] = nil
  end
end
if #keys > 0 then
  call('UNLINK', unpack(keys))
  call('ZREM', KEYS[2], unpack(ids))
  if #members > 0 then call('ZREM', KEYS[1], unpack(members)) end
  removeFailures(KEYS[3], request.failedPrefix)
end
return { billed, outcomes }
