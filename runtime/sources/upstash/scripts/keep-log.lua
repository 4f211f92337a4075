--[[
  Keeps what a failed attempt has printed.

    KEYS[1]  logs of the job
    KEYS[2]  job
    ARGV[1]  attempt
    ARGV[2]  run
    ARGV[3]  the log
    ARGV[4]  how long it is kept, in milliseconds

  Answers {commands billed}: of a job that is not there any more, and in the place of a later run's log, nothing is kept. Billed: 4.
]]
--- @include "lib/call"

if call('EXISTS', KEYS[2]) == 0 then return { billed } end
local kept = call('HGET', KEYS[1], ARGV[1])
if kept and tonumber(string.match(kept, '^%d+')) > tonumber(ARGV[2]) then return { billed } end
call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '\n' .. ARGV[3])
call('PEXPIRE', KEYS[1], ARGV[4])
return { billed }
