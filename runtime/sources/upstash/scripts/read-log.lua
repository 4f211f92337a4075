--[[
  Reads what an attempt of the job's newest run has printed.

    KEYS[1]  logs of the job
    KEYS[2]  job
    ARGV[1]  attempt

  Answers {commands billed} when there is none, else {commands billed, the log}. Billed: 2.
]]
--- @include "lib/records"

local kept, record = call('HGET', KEYS[1], ARGV[1]), call('GET', KEYS[2])
if not kept or not record then return { billed } end
local run, log = string.match(kept, '^(%d+)\n(.*)$')
if tonumber(run) ~= (parseRecord(record).state.run or 1) then return { billed } end
return { billed, log }
