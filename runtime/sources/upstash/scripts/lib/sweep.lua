--- @include "call"
--- @include "records"
--- @include "attempts"
--- @include "moments"

local LEASE_EXPIRED = cjson.encode({
  code = 'LEASE_EXPIRED',
  message = 'The lease ran out before the attempt ended: its worker crashed, hung or was cut off.'
})

-- The attempt of a lease that ran out is over and charged. Its job waits again, from the moment that the lease ran out,
-- and keeps the token, so that a late worker is let in as long as nobody has taken it; if a cancel was asked it ends.
local function expireLease(job, moment, now)
  local state = job.state
  endAttempt(state, 'expired', now, LEASE_EXPIRED)
  state.progress = nil
  if state.cancel then
    state.status, state.settled, state.token = 'cancelled', now, nil
  else
    state.status, state.available = 'queued', moment
  end
end

-- What the timetable's `entries` (members and scores, in order) say is due: jobs whose delay is over and jobs whose
-- lease ran out. Takes them off the timetable.
local function sweep(timetableKey, entries, jobPrefix, now)
  local due, ids = {}, {}
  for place = 1, #entries, 2 do
    local member, score = entries[place], tonumber(entries[place + 1])
    if momentOf(score) > now then break end
    local _, id = string.match(member, '^([^:]+):([^:]+)')
    due[#due + 1] = { member = member, id = id, moment = momentOf(score) }
    ids[#ids + 1] = id
  end
  if #due == 0 then return {} end
  local members, back = {}, {}
  local jobs = readRecords(jobPrefix, ids)
  for place, entry in ipairs(due) do
    members[place] = entry.member
    local job = jobs[entry.id]
    if job and job.state.status == 'running' and entry.member == leaseMember(job.state) then
      expireLease(job, entry.moment, now)
      back[#back + 1] = job
    elseif job and job.state.status == 'queued' and entry.member == delayMember(job.state) then
      back[#back + 1] = job
    end
  end
  call('ZREM', timetableKey, unpack(members))
  return back
end
