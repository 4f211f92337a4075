--[[
  Ends running jobs as completed.

    KEYS and ARGV  as lib/settling.lua says; the third is the result as JSON

  Billed: 3, and 1 for each job.
]]
--- @include "lib/settling"

local answers = settleLeases({ completed = true }, function(job, result)
  withdraw(job.state)
  endAttempt(job.state, 'completed', now)
  job.state.result = result
  job.state.progress = 1
  finish(job, 'completed')
end)
writeEnds()
return { billed, answers }
