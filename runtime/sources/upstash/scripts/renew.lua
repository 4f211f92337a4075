--[[
  Renews leases one by one. Called when the plain renewal (a ZADD that changes only what is there) has not renewed every
  lease, to find out which, and to bring back those that ran out and whose job nobody has taken since.

    KEYS[1]  timetable
    KEYS[2]  discarded
    ARGV[1]  JSON {jobPrefix, readyPrefix, parkedPrefix, leaseMs}
    ARGV[2…] for each lease: job id, token, progress (or empty: as it was)

  Answers {commands billed, {0 (lost), 1 (held), 2 (held, and its cancel was requested) or
  3 (there is no record of the job) for each lease}, now}.
  Billed: 5, with jobs that are not there 6, and for leases that had run out 1, and 1 for each of them (3 when it was parked).
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/attempts"
--- @include "lib/moments"
--- @include "lib/parking"
--- @include "lib/discarded"

local settings = cjson.decode(ARGV[1])
local timetable = KEYS[1]
local ids = {}
for place = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[place] end
local jobs = readRecords(settings.jobPrefix, ids)
local absent = {}
for _, id in ipairs(ids) do
  if not jobs[id] then absent[#absent + 1] = id end
end
local discarded = discardedAmong(KEYS[2], absent)
local now = serverTime()

local held, members, answers = {}, {}, {}
for place, id in ipairs(ids) do
  local job = jobs[id]
  local isHeld = job and job.state.token == ARGV[3 * place]
  answers[place] = discarded[id] and 0 or not job and 3 or not isHeld and 0 or job.state.cancel and 2 or 1
  if isHeld then
    held[#held + 1] = { job = job, progress = tonumber(ARGV[3 * place + 1]) }
    members[#members + 1] = leaseMember(job.state)
  end
end
if #held == 0 then return { billed, answers, now } end

local scores = call('ZMSCORE', timetable, unpack(members))
local renewals, revived, waiting = {}, {}, {}
for place, lease in ipairs(held) do
  local state = lease.job.state
  if state.status == 'queued' then
    waiting[#waiting + 1] = state
    state.status = 'running'
    endAttempt(state, 'running', nil, nil)
    revived[#revived + 1] = settings.jobPrefix .. state.id
    revived[#revived + 1] = formatRecord(lease.job)
  end
  local progress = lease.progress or (scores[place] and progressOf(tonumber(scores[place])))
  renewals[#renewals + 1] = scoreText(leaseScore(now + settings.leaseMs, progress))
  renewals[#renewals + 1] = members[place]
end
call('ZADD', timetable, unpack(renewals))
if #revived > 0 then call('MSET', unpack(revived)) end
for _, state in ipairs(waiting) do removeWaiting(state, settings.readyPrefix, settings.parkedPrefix) end
return { billed, answers, now }
