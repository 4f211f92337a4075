--[[
  Ends running jobs whose cancel was requested.

    KEYS and ARGV  as lib/settling.lua says; the third is the last known progress, or empty

  Billed: 3, and 1 for each job.
]]
--- @include "lib/settling"

local answers = settleLeases({ cancelled = true }, function(job, progress)
  withdraw(job.state)
  endAttempt(job.state, 'cancelled', now)
  job.state.progress = tonumber(progress)
  finish(job, 'cancelled')
end)
writeEnds()
return { billed, answers }
