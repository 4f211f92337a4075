-- A score of the timetable: the moment in milliseconds at which something happens to the job, and in the fraction, in
-- units of 1/2048 so that a double holds it exactly, what is known of it:
--
--   0           nothing
--   1 … 1001    progress in thousandths, plus one (a lease)
--   2047        the job failed; at the moment its record is forgotten
local UNITS = 2048
local FAILED = 2047

local function momentOf(score)
  return math.floor(score)
end

local function unitsOf(score)
  return (score - math.floor(score)) * UNITS
end

local function leaseScore(expires, progress)
  if not progress then return expires end
  return expires + (math.floor(progress * 1000 + 0.5) + 1) / UNITS
end

local function progressOf(score)
  local units = unitsOf(score)
  if units == 0 or units == FAILED then return nil end
  return (units - 1) / 1000
end

local function forgetScore(moment)
  return moment + FAILED / UNITS
end

-- Scores as text: Lua's own conversion would keep 14 digits.
local function scoreText(score)
  return string.format('%.17g', score)
end
