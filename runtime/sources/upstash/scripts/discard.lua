--[[
  Forgets jobs that have ended and whose ends are reported.

    KEYS[1]  timetable
    KEYS[2]  index
    KEYS[3]  failures
    KEYS[4]  discarded
    ARGV[1]  JSON {jobPrefix, logsPrefix, failedPrefix, rememberSeconds}: how long late calls are answered that the job is lost
    ARGV[…]  ids

  Answers {commands billed, {"discarded", "missing", "unreported", "queued" or "running" for each}}.
  Billed: 1 for each 8 jobs and 9 more; 1 for each 8 jobs of which one was ended by no attempt; 2 or 3 for each group of failures.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/failures"
--- @include "lib/discarded"

-- Records are read a few at a time: a body may have a megabyte.
local READ_AT_ONCE = 8
local request = cjson.decode(ARGV[1])

-- Whether the job's end is, or was, to be reported by whoever takes next: no attempt has settled it.
local function leftEnd(state)
  return state.status == 'cancelled' or (state.status == 'failed' and state.error ~= nil)
end

-- Ids of those of the jobs whose ends are with a container, or wait for one. A claimed end is named by its claim, of which
-- the record knows.
local function findUnreported(jobs)
  local unreported, members, ids = {}, {}, {}
  for id, job in pairs(jobs) do
    local state = job.state
    if state.settled and leftEnd(state) then
      -- One that was cancelled before its element came must stay, or the element would run.
      if not state.score then unreported[id] = true end
      for _, member in ipairs({ endMember(state), endMember(state, state.reporter) }) do
        members[#members + 1] = member
        ids[#ids + 1] = id
      end
    end
  end
  if #members > 0 then
    for place, score in ipairs(call('ZMSCORE', KEYS[1], unpack(members))) do
      if score then unreported[ids[place]] = true end
    end
  end
  return unreported
end

local outcomes, keys, ids, gone, members = {}, {}, {}, {}, {}
local function visit(id, state, unreported)
  if not state then return 'missing' end
  if not state.settled then return state.status end
  if unreported[id] then return 'unreported' end
  keys[#keys + 1] = request.jobPrefix .. id
  keys[#keys + 1] = request.logsPrefix .. id
  ids[#ids + 1] = id
  gone[#gone + 1] = state
  if state.mark then members[#members + 1] = state.mark end
  if state.expires then members[#members + 1] = expiryMember(state) end
  forgetFailure(state)
  return 'discarded'
end

for start = 2, #ARGV, READ_AT_ONCE do
  local some = { unpack(ARGV, start, math.min(start + READ_AT_ONCE - 1, #ARGV)) }
  local jobs = readRecords(request.jobPrefix, some)
  local unreported = findUnreported(jobs)
  for place, id in ipairs(some) do
    local state = jobs[id] and jobs[id].state
    outcomes[start + place - 2] = visit(id, state, unreported)
    -- The same id twice.
    jobs[id] = nil
  end
end
if #keys > 0 then
  call('UNLINK', unpack(keys))
  call('ZREM', KEYS[2], unpack(ids))
  if #members > 0 then call('ZREM', KEYS[1], unpack(members)) end
  removeFailures(KEYS[3], request.failedPrefix)
  noteDiscarded(KEYS[4], gone, serverTime(), request.rememberSeconds)
end
return { billed, outcomes }
