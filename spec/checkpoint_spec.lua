-- Checkpoints: what they hold, what is refused, older ones beside them, and saves that are cut short at
-- every system call. That a resumed run has the same bits is spec/resume_spec.lua's.
local mascon = require "mascon"
local nn, optim = mascon.nn, mascon.optim
local schedules = optim.lr_scheduler

local folder, path

local function run(command)
  local p = assert(io.popen(command .. "; echo $?"))
  local text = p:read "*a"
  p:close()
  local out, code = text:match "^(.-)(%d+)\n$"
  return tonumber(code), out
end

local function files()
  local _, text = run(("ls -A '%s'"):format(folder))
  local list = {}
  for name in text:gmatch "[^\n]+" do
    list[#list + 1] = name
  end
  return list
end

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function assert_says(expected, f, ...)
  local err = message(f, ...)
  assert.truthy(err:find(expected, 1, true), err)
end

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  os.execute(("mkdir '%s'"):format(folder))
  path = folder .. "/last.safetensors"
end)

after_each(function()
  os.execute(("rm -rf '%s'"):format(folder))
end)

local function objects()
  local model = nn.Linear(3, 2)
  local optimizer = optim.Adam(model:parameters(), { lr = 0.1 })
  return { model = model, optimizer = optimizer, scheduler = schedules.StepLR(optimizer, { step_size = 2 }) }
end

local function train(o)
  o.optimizer:zero_grad()
  o.model(mascon.ones { 1, 3 }):sum():backward()
  o.optimizer:step()
  o.scheduler:step()
end

local function with(o, more)
  local all = {}
  for k, v in pairs(o) do
    all[k] = v
  end
  for k, v in pairs(more) do
    all[k] = v
  end
  return all
end

describe("a checkpoint", function()
  it("gives the objects their state and the rest back", function()
    local o = objects()
    train(o)
    mascon.manual_seed(3)
    mascon.rand { 5 }
    mascon.save_checkpoint(path, with(o, { epoch = 3, best = 0.1, notes = { "a", lr = { 1e-3 } },
      picture = mascon.tensor { 1, 2 } }))
    local expected = mascon.rand { 4 }
    local new = objects()
    local rest = mascon.load_checkpoint(path, new)
    assert.equal(3, rest.epoch)
    assert.equal(0.1, rest.best)
    assert.same({ "a", lr = { 1e-3 } }, rest.notes)
    assert.same({ 1, 2 }, rest.picture:totable())
    assert.is_nil(rest.model)
    assert.same(expected:totable(), mascon.rand({ 4 }):totable())
    assert.same(o.model.weight:totable(), new.model.weight:totable())
    assert.equal(1, new.scheduler.steps)
    train(o)
    train(new)
    assert.same(o.model.weight:totable(), new.model.weight:totable())
    assert.same(o.optimizer.lr, new.optimizer.lr)
  end)

  it("can be read in part, and by mascon.load", function()
    local o = objects()
    mascon.save_checkpoint(path, with(o, { epoch = 1 }))
    local model = nn.Linear(3, 2)
    local rest = mascon.load_checkpoint(path, { model = model })
    assert.same(o.model.weight:totable(), model.weight:totable())
    assert.equal("table", type(rest.optimizer.param_groups))
    assert.equal(1, mascon.load_checkpoint(path).epoch)
    local value, info = mascon.load(path)
    assert.same(o.model.bias:totable(), value.model.bias:totable())
    local names = table.concat(info.names, " ")
    assert.truthy(names:find("model.weight", 1, true), names)
  end)

  it("keeps a stopper's best weights", function()
    local model, stopper = nn.Linear(2, 1), mascon.EarlyStopping { patience = 2 }
    stopper:step(1, model)
    local best = model.weight:detach():clone():totable()
    mascon.no_grad(function() model.weight:fill_(5) end)
    stopper:step(2, model)
    mascon.save_checkpoint(path, { model = model, stopper = stopper })
    local other, again = nn.Linear(2, 1), mascon.EarlyStopping { patience = 7 }
    mascon.load_checkpoint(path, { model = other, stopper = again })
    assert.equal(2, again.patience)
    assert.same({ 5, 5 }, other.weight:reshape(-1):totable())
    assert.is_true(again:step(3, other))
    again:restore(other)
    assert.same(best, other.weight:totable())
  end)

  it("takes whatever has state_dict and load_state_dict", function()
    local counter = { n = 4, state_dict = function(self) return { n = self.n } end,
      load_state_dict = function(self, sd) self.n = sd.n end }
    mascon.save_checkpoint(path, { counter = counter })
    counter.n = 9
    mascon.load_checkpoint(path, { counter = counter })
    assert.equal(4, counter.n)
  end)

  it("is refused where it does not fit, and nothing has changed", function()
    local o = objects()
    train(o)
    local ds = mascon.data.TensorDataset(mascon.zeros { 50, 3 })
    local loader = mascon.data.DataLoader(ds, { batch_size = 4 })
    local batches = loader()
    for _ = 1, 3 do
      batches()
    end
    mascon.save_checkpoint(path, with(o, { loader = loader, epoch = 1 }))

    local new = objects()
    local before, rate = new.model.weight:totable(), new.optimizer.lr
    local generator = require("mascon.random").get_state
    local function refused(expected, given)
      local state = generator()
      assert_says(expected, mascon.load_checkpoint, path, given)
      assert.same(before, new.model.weight:totable())
      assert.equal(rate, new.optimizer.lr)
      assert.equal(0, new.scheduler.steps)
      assert.same(state, generator())
    end
    local sgd = optim.SGD(new.model:parameters())
    refused("load_checkpoint: checkpoint has Adam state, this run uses SGD", -- D71
      { model = new.model, optimizer = sgd })
    refused("load_checkpoint: checkpoint has StepLR state, this run uses ExponentialLR",
      { model = new.model, scheduler = schedules.ExponentialLR(new.optimizer, { gamma = 0.5 }) })
    local short = mascon.data.DataLoader(mascon.data.TensorDataset(mascon.zeros { 45, 3 }), { batch_size = 4 })
    refused("load_checkpoint: checkpoint was made with 50 samples, this data set has 45; position 3 of " -- D72
      .. "epoch 1 cannot be kept", with(new, { loader = short }))
    local wide = mascon.data.DataLoader(ds, { batch_size = 5 })
    refused("checkpoint was made with batch_size 4, this loader has 5; position 3 of epoch 1 cannot be kept",
      with(new, { loader = wide }))
    refused("holds no state of critic\nhint: it holds states of loader, model, optimizer, scheduler",
      { model = new.model, critic = nn.Linear(1, 1) })
    refused("load_checkpoint: epoch is 0; expected an object with state_dict", with(new, { epoch = 0 }))
    refused("checkpoint has module state, this run uses Adam", { model = new.optimizer })
    refused("checkpoint has Adam state, this run uses Linear", { optimizer = new.model })
    refused("load_state_dict: 1 of 2 differ", with(new, { model = nn.Linear(4, 2) }))
    refused("argument 2 is an object", new.model)
    local frozen = optim.Adam({ new.model.weight })
    refused("group 1 of the state dict has 2 parameters, this optimizer's has 1", with(new, { optimizer = frozen }))
    mascon.save(path, { model = o.model:state_dict() })
    refused("last.safetensors is not a checkpoint", new)
  end)

  it("of two models changes neither where one does not fit", function()
    mascon.save_checkpoint(path, { a = nn.Linear(2, 2), b = nn.Linear(2, 2) })
    local a, b = nn.Linear(2, 2), nn.Linear(2, 3)
    local before = a.weight:detach():clone():totable()
    assert_says("differ", mascon.load_checkpoint, path, { a = a, b = b })
    assert.same(before, a.weight:totable())
  end)

  it("names large numbers of samples as people write them", function()
    local ds = { classes = { "a" }, n = 50000, len = function(self) return self.n end,
      get = function() return mascon.zeros { 1 }, 1 end }
    local loader = mascon.data.DataLoader(ds, { batch_size = 2 })
    loader()()
    mascon.save_checkpoint(path, { loader = loader })
    ds.n = 1234567
    assert_says("made with 50,000 samples, this data set has 1,234,567; position 1 of epoch 1",
      mascon.load_checkpoint, path, { loader = mascon.data.DataLoader(ds, { batch_size = 2 }) })
  end)

  it("is refused before anything is written where it cannot be saved", function()
    local o = objects()
    assert_says("save: directory " .. folder .. "/missing/ does not exist", mascon.save_checkpoint, -- D69
      folder .. "/missing/last.safetensors", o)
    assert_says("save: value at extra.transform is a function; tables, numbers, strings, booleans and tensors "
      .. "can be saved", mascon.save_checkpoint, path, with(o, { extra = { transform = print } })) -- D70
    assert_says("keep is 0; must be 1 or more", mascon.save_checkpoint, path, o, { keep = 0 })
    assert_says('unknown option "kep"', mascon.save_checkpoint, path, o, { kep = 2 })
    assert_says("path is 5; expected the name of a file", mascon.save_checkpoint, 5, o)
    assert_says("argument 2 is an object", mascon.save_checkpoint, path, o.model)
    assert_says("__checkpoint__ is reserved", mascon.save_checkpoint, path, { __checkpoint__ = 1 })
    assert.same({}, files())
  end)

  it("is found damaged when a byte of a tensor changed", function()
    local o = objects()
    mascon.save_checkpoint(path, o)
    local f = assert(io.open(path, "r+b"))
    local text = f:read "*a"
    local last = text:byte(#text)
    f:seek("set", #text - 1)
    f:write(string.char(last == 1 and 2 or 1))
    f:close()
    assert.is_false((pcall(mascon.load_checkpoint, path, o)))
    mascon.load_checkpoint(path, o, { verify = false })
  end)
end)

describe("keep", function()
  local function save(n, keep)
    mascon.save_checkpoint(path, { model = nn.Linear(1, 1), n = n }, { keep = keep })
  end

  local function numbers()
    local list = {}
    for _, name in ipairs(files()) do
      list[#list + 1] = mascon.load_checkpoint(folder .. "/" .. name).n
    end
    table.sort(list)
    return list
  end

  it("leaves the newest n, the newest of all at the path itself", function()
    for n = 1, 5 do
      save(n, 3)
      assert.equal(n, mascon.load_checkpoint(path).n)
    end
    assert.same({ 3, 4, 5 }, numbers())
    assert.same({ "last.safetensors", "last.safetensors.0003", "last.safetensors.0004" }, files())
    save(6) -- without keep the older ones are let alone
    assert.same({ 3, 4, 6 }, numbers())
    save(7, 2)
    assert.same({ 6, 7 }, numbers())
    save(8, 1)
    assert.same({ 8 }, numbers())
  end)

  it("counts on past four digits and takes other files for what they are", function()
    save(1, 2)
    os.rename(path, path .. ".9999")
    for _, name in ipairs { ".1", ".00001", ".tmp", ".0001x", "x.0001" } do
      assert(io.open(path .. name, "w")):close()
    end
    save(2, 9)
    save(3, 9)
    assert.equal(2, mascon.load_checkpoint(path .. ".10000").n)
    assert.equal(1, mascon.load_checkpoint(path .. ".9999").n)
    assert.equal(8, #files())
  end)

  it("follows a symbolic link", function()
    os.execute(("mkdir '%s/there'; ln -s there/real.safetensors '%s'"):format(folder, path))
    assert(io.open(folder .. "/there/real.safetensors", "w")):close()
    save(1)
    save(2, 2)
    assert.same({ "last.safetensors", "there" }, files())
    assert.equal(1, mascon.load_checkpoint(folder .. "/there/real.safetensors.0001").n)
    assert.equal(2, mascon.load_checkpoint(path).n)
  end)
end)

describe("checkpoint.clean", function()
  it("removes what dead processes left more than an hour ago, and nothing else", function()
    local digits = "0123456789abcdef"
    local function make(name, old)
      assert(io.open(folder .. "/" .. name, "w")):close()
      if old then
        os.execute(("touch -d '2 hours ago' '%s/%s'"):format(folder, name))
      end
    end
    local _, dead = run "sh -c 'echo $$'"
    dead = dead:match "%d+"
    make((".last.safetensors.%s.%s.tmp"):format(dead, digits), true)
    make((".a.b.%s.%s.tmp"):format(dead, digits), true)
    local stay = {
      { (".last.safetensors.%s.%s.tmp"):format(dead, digits:reverse()), false }, -- young
      { (".last.safetensors.1.%s.tmp"):format(digits), true },                  -- its process lives
      { ("last.safetensors.%s.%s.tmp"):format(dead, digits), true },
      { (".last.safetensors.%s.%s.tmp"):format(dead, digits:sub(2)), true },
      { (".%s.%s.tmp"):format(dead, digits), true },
      { ".tmp", true }, { ".last.tmp", true },
    }
    for _, s in ipairs(stay) do
      make(s[1], s[2])
    end
    assert.equal(2, mascon.checkpoint.clean(folder))
    assert.equal(#stay, #files())
    assert_says("directory /no/such/folder does not exist", mascon.checkpoint.clean, "/no/such/folder")
  end)
end)

-- Saves that are cut short -----------------------------------------------------------------------------

-- A child saves checkpoint 3 over 2, which has 1 as its predecessor, under the injector.
local child = [[
local path, first, last, how, code = ...
local ffi = require "ffi"
ffi.cdef "void injector_arm(long n, int how, int code); long injector_disarm(void);"
local mascon = require "mascon"
local function save(n, arm)
  local x = mascon.full({ 600, 500 }, n) -- more than a chunk, once in order and once not
  local given = { n = n, x = x, y = mascon.full({ 600, 500 }, n):t() }
  if arm then
    arm()
  end
  local good, err = pcall(mascon.save_checkpoint, path, given, { keep = 2 })
  return good, err, tonumber(ffi.C.injector_disarm())
end
local function list()
  local p = io.popen("ls -A '" .. path:match "^(.*)/" .. "'")
  local names = {}
  for name in p:lines() do
    names[#names + 1] = name
  end
  p:close()
  return names
end
for n = tonumber(first), tonumber(last) do
  os.execute("rm -f '" .. path .. "'*")
  save(1)
  save(2)
  local good, err, count = save(3, function()
    ffi.C.injector_arm(n, tonumber(how), tonumber(code))
  end)
  print(n, good, count, (tostring(err):gsub("%s+", " ")), #list())
  io.stdout:flush()
  local newest = mascon.load_checkpoint(path).n
  assert(newest == 3 or not good and newest == 2, "checkpoint " .. newest .. " after call " .. n)
  for _, name in ipairs(list()) do
    if name:sub(1, 1) ~= "." then
      local value = mascon.load_checkpoint(path:match "^(.*/)" .. name)
      assert(value.x:eq(value.n):all():item() and value.y:eq(value.n):all():item(), name)
    end
  end
end]]

local AFTER, HALF, FAIL = 0, 1, 2
local EIO, ENOSPC = 5, 28

describe("a save that is cut short", function()
  local library, script

  setup(function()
    library, script = os.tmpname() .. ".so", os.tmpname()
    local compiler = os.getenv "CC" or "cc"
    local code, text = run(("%s -std=c11 -D_GNU_SOURCE -shared -fPIC -o '%s' spec/support/injector.c -ldl 2>&1")
      :format(compiler, library))
    assert(code == 0, text)
    local f = assert(io.open(script, "w"))
    f:write(child)
    f:close()
  end)

  teardown(function()
    os.remove(library)
    os.remove(script)
  end)

  local function start(first, last, how, code)
    return run(("LD_PRELOAD=\"$LD_PRELOAD:%s\" '%s' '%s' '%s' %d %d %d %d 2>&1"):format(library,
      arg and arg[-1] or "luajit", script, path, first, last, how, code))
  end

  --- Number of system calls of a whole save.
  local function calls()
    local code, text = start(1000, 1000, AFTER, 0)
    assert(code == 0, text)
    return tonumber(text:match "^%d+\ttrue\t(%d+)")
  end

  local function check_files()
    local newest = mascon.load_checkpoint(path).n
    assert(newest == 2 or newest == 3, newest)
    local whole = 0
    for _, name in ipairs(files()) do
      if name:sub(1, 1) ~= "." then
        local value = mascon.load_checkpoint(folder .. "/" .. name)
        assert.is_true(value.x:eq(value.n):all():item() and value.y:eq(value.n):all():item())
        whole = whole + 1
      end
    end
    assert.is_true(whole >= 2 and whole <= 3, "checkpoints: " .. whole)
    return newest
  end

  for _, how in ipairs { { AFTER, "after" }, { HALF, "in the middle of" } } do
    it("leaves the old checkpoint or the new one: killed " .. how[2] .. " each system call", function()
      local n = calls()
      assert.is_true(n >= 10, "system calls: " .. n)
      local newest = {}
      for i = 1, n do
        os.execute(("rm -f '%s'*"):format(path))
        local code = start(i, i, how[1], 0)
        assert.is_true(code ~= 0, "survived call " .. i)
        newest[check_files()] = true
        mascon.save_checkpoint(path, { n = 4, x = mascon.full({ 1 }, 4), y = mascon.full({ 1 }, 4) },
          { keep = 2 }) -- and the next run goes on
        assert.equal(4, mascon.load_checkpoint(path).n)
      end
      assert.is_true(newest[2] and newest[3])
    end)
  end

  for _, code in ipairs { EIO, ENOSPC } do
    it(("leaves the old checkpoint or the new one: error %d of each system call"):format(code), function()
      local n = calls()
      local status, text = start(1, n, FAIL, code)
      assert(status == 0, text)
      local failed = 0
      for line in text:gmatch "[^\n]+" do
        local number, good, _, err, left = line:match "^(%d+)\t(%a+)\t(%d+)\t(.*)\t(%d+)$"
        assert(number, line)
        if good == "false" then
          failed = failed + 1
          assert.truthy(err:find("save", 1, true), err)
        end
        assert.is_true(tonumber(left) <= 3, line) -- no temporary file stays
      end
      assert.is_true(failed >= n - 4, text)
    end)
  end

  it("says what a full disk means", function() -- D68
    local status, text = start(1, calls(), FAIL, ENOSPC)
    assert(status == 0, text)
    local found = text:match "save: [^\t]-: no space left on device %([%d.]+ MB needed, [%d.]+ MB free%); the previous"
      .. " checkpoint is unchanged"
    assert.truthy(found, text)
  end)

  it("leaves the old file where files may not grow that large", function() -- ulimit -f
    local program = os.getenv "MASCON_PROGRAM" or "build/mascon"
    local place = folder .. "/limited"
    os.execute("mkdir " .. place)
    local writer = place .. "/save.lua"
    local file = assert(io.open(writer, "w"))
    file:write([[
      local m, path = require "mascon", (...) .. "/last.safetensors"
      m.save(path, { x = m.ones { 10 } })
      print(select(2, pcall(m.save, path, { x = m.ones { 100000 } })))
      print(m.load(path).x:numel())
    ]])
    file:close()
    local code, out = run(("(ulimit -f 100; %s %s %s) 2>&1"):format(program, writer, place))
    assert.equal(0, code, out)
    assert.truthy(out:find("the previous checkpoint is unchanged\n10\n", 1, true), out)
    local _, left = run("ls -A " .. place)
    assert.equal("last.safetensors\nsave.lua\n", left)
  end)
end)
