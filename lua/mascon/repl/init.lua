--- The interactive session: reads lines, runs them, prints values and errors.
-- The program gives it the terminal (lib/program/repl.c); nothing else of mascon needs it.

local chunk = require "mascon.repl.chunk"
local layer = require "mascon.ffi"
local style = require "mascon.repl.style"

local M = {}

-- Only here are mascon's parts globals: name -> path below mascon. Each is loaded when it is first read.
local globals = {
  mascon = "", nn = "nn", optim = "optim", F = "nn.functional", T = "transforms", data = "data",
  datasets = "datasets", metrics = "metrics", plot = "plot", image = "image", models = "models", help = "help",
  tqdm = "tqdm",
}

--- mascon.help gives the text back; here it is only printed. Without an argument it says what there is.
local function help(...)
  local explain = require("mascon.help").help
  if select("#", ...) == 0 then
    explain "mascon"
  else
    explain((...))
  end
end

local function load_global(name)
  local value = require "mascon"
  if name == "help" then
    rawset(_G, name, help)
    return help
  end
  for part in globals[name]:gmatch "[^.]+" do
    value = value[part]
  end
  rawset(_G, name, value)
  return value
end

local function define_globals()
  if getmetatable(_G) ~= nil then -- a script's own rules for globals
    for name in pairs(globals) do
      if rawget(_G, name) == nil then
        load_global(name)
      end
    end
    return
  end
  setmetatable(_G, {
    names = globals,
    __index = function(_, name)
      return globals[name] and load_global(name) or nil
    end,
  })
end

local session = { ended = false }

local function print_error(value, traceback)
  session.traceback = traceback
  local text = require("mascon.repl.errors").text(value)
  io.write(text:find "interrupted" and layer.isatty(1) and "\n" or "", text, "\n") -- below the ^C
end

local function finish(on_values, good, ...)
  if not good then
    print_error(...)
  elseif on_values then
    on_values(...)
  end
end

--- Calls a function that Ctrl-C can end; errors are printed.
function session.call(f)
  finish(nil, session.terminal.run(f))
end

--- Calls a function, keeps its first result as _ and prints all.
---@param f function
---@param on_end? function called before anything is printed
function session.evaluate(f, on_end)
  finish(function(...)
    if on_end then
      on_end()
    end
    local n, values = select("#", ...), { ... }
    if n == 0 then
      return
    end
    rawset(_G, "_", values[1])
    finish(nil, session.terminal.run(function()
      local show, picture = require "mascon.repl.show", require "mascon.repl.picture"
      for i = 1, n do
        local text = picture.of_value(values[i], session.terminal) or show.text(values[i], session.columns())
        io.write(text, "\n")
      end
    end))
  end, session.terminal.run(f))
end

--- The documentation of a name, or what a search finds.
function session.ask(text)
  if text == "" then
    return require("mascon.repl.commands").run(session, ":help")
  end
  session.call(function()
    io.write(require("mascon.help").find(text), "\n")
  end)
end

--- Runs a text. False where it is unfinished and more lines may complete it.
local function run_text(text)
  if not text:find "%S" then
    return true
  elseif text:find "^%s*:%s*%a" then
    require("mascon.repl.commands").run(session, text)
    return true
  elseif text:find "^%s*%?" then
    session.ask(text:match "^%s*%?+%s*(.-)%s*$")
    return true
  end
  local f, message, unfinished = chunk.compile((text:gsub("^%s*=", "")))
  if f then
    session.evaluate(f)
  elseif unfinished then
    return false
  else
    print_error(message, "")
  end
  return true
end

--- Reads and runs until the input ends.
---@param terminal table read, remember, on_complete, size, ask, keep, trim, files, run
function M.start(terminal)
  session.terminal = terminal
  function terminal.columns()
    return (terminal.size())
  end
  session.columns = terminal.columns
  local history = require "mascon.repl.history"
  define_globals()
  local interactive = layer.isatty(0) and layer.isatty(1)
  local pending
  if interactive then
    io.write(("mascon %s, %s. ?name explains, :help lists commands, Ctrl-D leaves.\n"):format(
      layer.string(layer.C.mascon_version()), jit.version))
    history.load(terminal)
    terminal.on_complete(function(before)
      return require("mascon.repl.complete").key(before, pending, terminal)
    end)
  end
  local first, more = style.prompt ">", style.prompt ">>"
  while not session.ended do
    local line, why = terminal.read(pending and more or first)
    if line then
      if interactive then
        terminal.remember(line)
        local why_not = history.add(terminal, line)
        if why_not then
          io.write(style.paint("dim", why_not), "\n")
        end
      end
      local text = pending and pending .. "\n" .. line or line
      pending = not run_text(text) and text or nil
    elseif why == "interrupted" then
      pending = nil
    else
      if pending then
        -- what was begun is not complete
        local _, message = chunk.compile(pending)
        print_error(message, "")
      end
      break
    end
  end
end

return M
