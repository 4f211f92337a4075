-- As many attempts as a record keeps: a job that is released over and over must not grow without end.
local MAX_ATTEMPTS = 64

local function beginAttempt(state, workerId, now)
  state.attempt = state.attempt + 1
  local attempts = state.attempts or {}
  attempts[#attempts + 1] = {
    attempt = state.attempt, by = workerId, token = state.token, started = now, outcome = 'running'
  }
  if #attempts > MAX_ATTEMPTS then table.remove(attempts, 1) end
  state.attempts = attempts
end

-- `problem` is an error report as JSON, or nil.
local function endAttempt(state, outcome, now, problem)
  local attempt = state.attempts[#state.attempts]
  attempt.outcome = outcome
  attempt.ended = now
  attempt.error = problem
end

local function attemptOf(state, token)
  for _, attempt in ipairs(state.attempts or {}) do
    if attempt.token == token then return attempt end
  end
end
