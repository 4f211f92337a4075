-- When a job that waits expires: so long after it began to wait (`expiresIn`, milliseconds), or at a moment of its own
-- (`expiresAt`, milliseconds since 1970), whichever is first.

-- Days since 1970 of a date (https://howardhinnant.github.io/date_algorithms.html#days_from_civil).
local function daysUntil(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local ofEra = year - era * 400
  local ofYear = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  return era * 146097 + ofEra * 365 + math.floor(ofEra / 4) - math.floor(ofEra / 100) + ofYear - 719468
end

-- The moment that a text such as 2026-12-01T12:00:00.5+01:00 names, in milliseconds since 1970, or nil.
local function momentOfText(text)
  local year, month, day, hour, minute, second, fraction, zone =
    string.match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(%.?%d*)(.+)$')
  if not year then return nil end
  local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):(%d%d)$')
  if not sign and zone ~= 'Z' then return nil end
  local offset = sign and (hours * 60 + minutes) * 60 or 0
  if sign == '-' then offset = -offset end
  local seconds = daysUntil(tonumber(year), tonumber(month), tonumber(day)) * 86400 + hour * 3600 + minute * 60 + second - offset
  return seconds * 1000 + tonumber(string.sub(string.sub(fraction, 2) .. '000', 1, 3))
end

-- Also of a job that has been redriven. The time that is left at its beginning stands for a moment with containers that know none.
local function beginWaiting(state, now)
  if state.expiresAt and not state.expiresIn then state.expiresIn = math.max(1, state.expiresAt - now) end
  state.expires = state.expiresIn and now + state.expiresIn
  if state.expiresAt and state.expiresAt < state.expires then state.expires = state.expiresAt end
end
