--[[
  Moves a leased job whose element turned out not to be one to the dead letters.

    KEYS[1]  job
    KEYS[2]  timetable
    KEYS[3]  index
    KEYS[4]  dead letters
    ARGV[1]  token
    ARGV[2]  reason

  Answers {commands billed, 1 (moved) or 0 (somebody else has it)}.
  Billed: 8.
]]
--- @include "lib/records"
--- @include "lib/clock"

local job = parseRecord(call('GET', KEYS[1]))
if not job or job.state.token ~= ARGV[1] or job.state.status ~= 'running' then return { billed, 0 } end
local now = serverTime()
local letter = cjson.encode({ worker = job.state.worker, reason = ARGV[2], at = now })
call('DEL', KEYS[1])
call('ZREM', KEYS[2], leaseMember(job.state), expiryMember(job.state))
call('ZREM', KEYS[3], job.state.id)
call('LPUSH', KEYS[4], letter .. '\n' .. job.body)
call('LTRIM', KEYS[4], 0, 999)
return { billed, 1 }
