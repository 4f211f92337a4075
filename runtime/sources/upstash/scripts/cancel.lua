--[[
  Asks for the end of a job: one that waits ends at once, one that runs when its worker hears of it.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  index; only with `absent`
    ARGV[1]  JSON {readyPrefix, turnsPrefix, channel, origin, request, keepSeconds, absent?}: `request` names this call,
             so that it may be repeated; `absent` {id, type, worker, user, priority} is what the caller knows of a job
             whose element may still be on its way. Without a record it gets one of a cancelled job, so that its element
             is dropped, as one of a known id, whenever it arrives.
    ARGV[2]  body of such a job

  Answers {commands billed, answer}: "cancelled", "requested", "missing", or "settled" and the state that it is in.
  Billed: 8 for a job that waits, 8 for one that runs, 5 for one that is absent.
]]
--- @include "lib/records"
--- @include "lib/clock"
--- @include "lib/sweep"
--- @include "lib/turns"

local request = cjson.decode(ARGV[1])
local timetable = KEYS[2]
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
  return { billed, 'cancelled' }
end
local state = job.state
if state.status == 'cancelled' and state.cancelledBy == request.request then return { billed, 'cancelled' } end
if state.status ~= 'queued' and state.status ~= 'running' then return { billed, 'settled', state.status } end
local now = serverTime()

if state.status == 'running' then
  local member = leaseMember(state)
  local score = tonumber(call('ZSCORE', timetable, member))
  if momentOf(score) > now then
    if state.cancel then return { billed, 'requested' } end
    state.cancel = true
    call('SET', KEYS[1], formatRecord(job))
    call('ZREM', timetable, member)
    call('ZADD', timetable, scoreText(score), leaseMember(state))
    call('PUBLISH', request.channel, 'cancel:' .. request.origin .. ':' .. state.id)
    return { billed, 'requested' }
  end
  -- Its worker is gone: the job waits for the next one already, and need not wait to be cancelled.
  call('ZREM', timetable, member)
  expireLease(job, momentOf(score), now)
else
  call('ZREM', request.readyPrefix .. state.worker, readyMember(state))
  call('ZREM', timetable, delayMember(state))
  giveTurnBack(request.turnsPrefix .. state.worker, state)
end
state.status, state.settled, state.token = 'cancelled', now, nil
state.cancel, state.cancelledBy = true, request.request
call('SET', KEYS[1], formatRecord(job), 'EX', request.keepSeconds)
return { billed, 'cancelled' }
