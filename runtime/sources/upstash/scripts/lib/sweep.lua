--- @include "call"
--- @include "records"
--- @include "attempts"
--- @include "moments"
--- @include "ending"
--- @include "parking"
--- @include "pausing"

-- The attempt of a lease that ran out is over and charged. Its job waits again, from the moment that the lease ran out,
-- and keeps the token, so that a late worker is let in as long as nobody has taken it; if a cancel was requested it ends.
local function expireLease(job, moment, now)
  local state = job.state
  endAttempt(state, 'expired', now, LEASE_EXPIRED)
  state.progress = nil
  if state.cancel then
    endWaiting(state, 'cancelled', now)
  elseif hasExpired(state, now) then
    endWaiting(state, 'failed', now, expiredProblem(state, false))
  else
    state.status, state.available = 'queued', moment
  end
end

-- What the timetable's `entries` (members and scores, in order) say is due.
local function dueEntries(entries, now)
  local due, ids, isParked, marks = {}, {}, {}, {}
  for place = 1, #entries, 2 do
    local member, moment = entries[place], momentOf(tonumber(entries[place + 1]))
    if moment > now then break end
    local id, run = string.match(member, '^:end:([^:]+):(%d+)')
    local kind = id and 'end'
    if not id then
      id = string.match(member, '^:expiry:([^:]+)$')
      kind = id and 'expiry'
    end
    if not id then
      id = string.match(member, '^[^:]+:([^:]+)')
      kind = id and 'job'
    end
    if id then
      due[#due + 1] = { member = member, id = id, run = tonumber(run), moment = moment, kind = kind }
      ids[#ids + 1] = id
    else
      local worker = string.match(member, '^:parked:(.+)$')
      if worker then isParked[worker] = true end
      marks[#marks + 1] = member
    end
  end
  return due, ids, isParked, pausedAmong(marks)
end

-- Acts on what is due, and takes it off the timetable: jobs whose delay is over or whose lease ran out wait again, jobs
-- whose time to wait is over end. Answers
--
--   back     jobs that wait again and are in no queue yet
--   ended    jobs that ended here; neither their records nor their ends are written yet
--   ends     jobs with an end that nobody has, by the end's member
--   isParked workers with something parked
--   paused   since when the queues of workers are paused
local function sweep(timetableKey, entries, request, now)
  local due, ids, isParked, paused = dueEntries(entries, now)
  if #due == 0 then return {}, {}, {}, isParked, paused end
  local jobs, gone, touched, ends = readRecords(request.jobPrefix, ids), {}, {}, {}
  for _, entry in ipairs(due) do
    local job = jobs[entry.id]
    local state = job and job.state
    local isQueued, isGone = state and state.status == 'queued', true
    if entry.kind == 'job' and state and state.status == 'running' and entry.member == leaseMember(state) then
      expireLease(job, entry.moment, now)
      touched[#touched + 1] = job
    elseif entry.kind == 'job' and isQueued and entry.member == delayMember(state) then
      touched[#touched + 1] = job
    elseif entry.kind == 'expiry' and isQueued then
      local place = removeWaiting(state, request.readyPrefix, request.parkedPrefix)
      gone[#gone + 1] = delayMember(state)
      endWaiting(state, 'failed', now, expiredProblem(state, place == 'parked'))
      touched[#touched + 1] = job
    elseif entry.kind == 'end' and state and (state.run or 1) == entry.run and state.settled
      and (state.status == 'cancelled' or state.status == 'failed') then
      isGone = false
      ends[#ends + 1] = { member = entry.member, job = job }
    end
    if isGone then gone[#gone + 1] = entry.member end
  end
  if #gone > 0 then call('ZREM', timetableKey, unpack(gone)) end
  local back, ended, isSeen = {}, {}, {}
  for _, job in ipairs(touched) do
    if not isSeen[job] then
      isSeen[job] = true
      table.insert(job.state.status == 'queued' and back or ended, job)
    end
  end
  return back, ended, ends, isParked, paused
end
