--[[
  Requests the end of a job: one that waits ends at once, and leaves an end for a container to report; one that runs ends
  when its container hears of it.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  index; only with `absent`
    ARGV[1]  JSON {readyPrefix, parkedPrefix, turnsPrefix, channel, origin, request, keepSeconds, absent?}: `request` names
             this call, so that it may be repeated; `absent` {id, type, worker, user, priority} is what the caller knows of a
             job whose element may still be on its way. Without a record it gets one of a cancelled job, so that its element
             is dropped, as one of a known id, whenever it arrives.
    ARGV[2]  body of such a job

  Answers {commands billed, answer}: "cancelled", "requested", "missing", or "settled" and the state that it is in,
  or, as JSON, how far its delivery has come.
  Billed: 9 for a job that waits, 10 for one that is delayed, 11 for one that is parked, 8 for one that runs, 7 for one
  that is absent.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/attempts"
--- @include "lib/moments"
--- @include "lib/ending"
--- @include "lib/parking"
--- @include "lib/turns"

local request = cjson.decode(ARGV[1])
local timetable = KEYS[2]

local function leaveEnd(state, now)
  call('ZADD', timetable, scoreText(now), endMember(state))
  call('PUBLISH', request.channel, 'end:' .. request.origin .. ':' .. state.id)
end

local job = parseRecord(call('GET', KEYS[1]))
if not job then
  local absent = request.absent
  if not absent then return { billed, 'missing' } end
  local moment, momentUs = serverTime()
  local called = {
    id = absent.id, type = absent.type, worker = absent.worker, user = absent.user, priority = absent.priority,
    arrived = string.format('%.0f', momentUs), status = 'cancelled', attempt = 0, created = moment, available = moment,
    settled = moment, cancel = true, cancelledBy = request.request
  }
  call('ZADD', KEYS[3], called.arrived, called.id)
  call('SET', KEYS[1], formatRecord({ state = called, body = ARGV[2] }), 'EX', request.keepSeconds)
  leaveEnd(called, moment)
  return { billed, 'cancelled' }
end
local state = job.state
if state.status == 'cancelled' and state.cancelledBy == request.request then return { billed, 'cancelled' } end
if state.status ~= 'queued' and state.status ~= 'running' then return { billed, 'settled', state.status } end
local now = serverTime()

if state.status == 'running' then
  local member = leaseMember(state)
  -- A lease that the timetable has lost has run out.
  local score = tonumber(call('ZSCORE', timetable, member) or 0)
  if momentOf(score) > now then
    if state.cancel then return { billed, 'requested' } end
    -- It has been worked off: nothing is left to be stopped.
    if deliveryOf(state) then return { billed, 'settled', deliveryOf(state) } end
    state.cancel = true
    call('SET', KEYS[1], formatRecord(job))
    call('ZREM', timetable, member)
    call('ZADD', timetable, scoreText(score), leaseMember(state))
    call('PUBLISH', request.channel, 'cancel:' .. request.origin .. ':' .. state.id)
    return { billed, 'requested' }
  end
  -- Its container is gone: the job waits for the next one already, and need not wait to be cancelled.
  call('ZREM', timetable, member, expiryMember(state))
  endAttempt(state, 'expired', now, LEASE_EXPIRED)
else
  local place = removeWaiting(state, request.readyPrefix, request.parkedPrefix)
  if place ~= 'ready' or state.expires then call('ZREM', timetable, delayMember(state), expiryMember(state)) end
  -- What was parked kept its turn when the turns may have begun anew.
  if place ~= 'parked' then giveTurnBack(request.turnsPrefix .. state.worker, state) end
end
state.cancel, state.cancelledBy = true, request.request
endWaiting(state, 'cancelled', now)
call('SET', KEYS[1], formatRecord(job), 'EX', request.keepSeconds)
leaveEnd(state, now)
return { billed, 'cancelled' }
