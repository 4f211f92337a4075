--[[
  Ends running jobs as failed. Their leases stay in the timetable as marks that count them, until their records go.

    KEYS and ARGV  as lib/settling.lua says, with {failures, failedPrefix} beside its settings; the third is JSON {error,
                 progress?} with the error report as JSON in it

  Billed: 3, and 1 for each job; for each group that they fail in 2, for a new one 3.
]]
--- @include "lib/settling"
--- @include "lib/failures"

local marks = {}
local answers = settleLeases({ failed = true }, function(job, ending)
  local state = job.state
  ending = cjson.decode(ending)
  if state.status == 'queued' then withdraw(state) end
  marks[#marks + 1] = scoreText(forgetScore(now + settings.keepSeconds * 1000))
  marks[#marks + 1] = leaseMember(state)
  state.mark = leaseMember(state)
  endAttempt(state, 'failed', now, ending.error)
  state.progress = ending.progress
  noteFailure(settings.failures, state, ending.error, now)
  finish(job, 'failed')
end)
if #marks > 0 then call('ZADD', timetable, unpack(marks)) end
writeEnds()
writeFailures(settings.failedPrefix)
return { billed, answers }
