--- What a training step may not do where it is to be captured into a graph: allocate from the driver, wait,
-- query, copy from or to the host. The fake device refuses such calls while a test tells it to.

local mascon = require "mascon"
local ffi = require "ffi"
local nn, optim = mascon.nn, mascon.optim

local DEVICE = os.getenv "MASCON_TEST_DEVICE"
local folder = os.getenv "MASCON_BACKEND_PATH"
local fake

if DEVICE == "cuda" and folder and mascon.cuda.is_available() then
  ffi.cdef [[
    void masconF_skip(int32_t on);
    void masconF_capture(int32_t on);
    const char *masconF_refused(void);
    int64_t masconF_calls(const char *call);
  ]]
  local library = ffi.load(folder .. "/libmascon_cuda.so")
  fake = pcall(function() return library.masconF_skip end) and library or nil
end

if not fake then
  describe("a step to be captured", function()
    pending("needs MASCON_TEST_DEVICE=cuda and the fake device")
  end)
  return
end

local function simple()
  return nn.Sequential(nn.Conv2d(3, 10, { kernel_size = 3, padding = 1 }), nn.ReLU(),
    nn.Conv2d(10, 10, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(10 * 16, 10)), 8
end

local function custom()
  local function block(from, to)
    return nn.Sequential(nn.Conv2d(from, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to),
      nn.Conv2d(to, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to), nn.MaxPool2d(2),
      nn.Dropout(0.25))
  end
  return nn.Sequential(block(3, 16), block(16, 32), nn.Flatten(), nn.Linear(32 * 4, 64), nn.ReLU(),
    nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10)), 8
end

local optimizers = {
  Adam = function(p) return optim.Adam(p, { lr = 1e-3 }) end,
  AdamW = function(p) return optim.AdamW(p, { lr = 1e-3 }) end,
  SGD = function(p) return optim.SGD(p, { lr = 0.1, momentum = 0.9 }) end,
  RMSprop = function(p) return optim.RMSprop(p, { lr = 1e-3 }) end,
}

local function step_of(make, new_optimizer, half, clips)
  local model, size = make()
  model:to(DEVICE)
  local optimizer = new_optimizer(model:parameters())
  local scheduler = optim.lr_scheduler.StepLR(optimizer, { step_size = 1, gamma = 0.5 })
  local loss_fn = nn.CrossEntropyLoss()
  local x = mascon.randn({ 4, 3, size, size }, { device = DEVICE })
  local y = mascon.randint(1, 10, { 4 }):to(DEVICE)
  local total = mascon.zeros({}, { device = DEVICE })
  local function forward()
    return loss_fn(model(x), y)
  end
  return function()
    local loss = half and mascon.autocast("bfloat16", forward) or not half and forward()
    optimizer:zero_grad()
    loss:backward()
    if clips then
      nn.utils.clip_grad_norm_(model:parameters(), 1)
    end
    optimizer:step()
    scheduler:step()
    total:add_(loss:detach())
    return loss
  end
end

local function refused(step)
  collectgarbage()
  collectgarbage()
  fake.masconF_capture(1)
  local good, err = pcall(step)
  fake.masconF_capture(0)
  local call = fake.masconF_refused()
  return good, err, call ~= nil and ffi.string(call) or nil
end

describe("a step to be captured", function()
  before_each(function() fake.masconF_skip(1) end)
  after_each(function() fake.masconF_skip(0) end)

  local function check(make, new_optimizer, half, clips)
    local step = step_of(make, new_optimizer, half, clips)
    for _ = 1, 3 do
      step()
    end
    for _ = 1, 3 do
      local good, err, call = refused(step)
      assert.is_nil(call)
      assert.is_true(good, err)
    end
  end

  for name, new_optimizer in pairs(optimizers) do
    it("makes no call that a capture forbids: SimpleCNN, " .. name, function()
      check(simple, new_optimizer)
    end)
    it("makes no call that a capture forbids: CustomCNN, " .. name, function()
      check(custom, new_optimizer)
    end)
  end

  it("makes none in bfloat16 or with clipped gradients", function()
    check(simple, optimizers.Adam, true)
    check(custom, optimizers.SGD, true, true)
  end)

  it("is found out where it reads a value", function()
    local step = step_of(simple, optimizers.SGD)
    step()
    local good, err, call = refused(function() return step():item() end)
    assert.is_false(good)
    assert.is_truthy(tostring(err):find("not permitted when stream is capturing", 1, true), err)
    assert.is_truthy(call == "memcpy_async" or call == "stream_synchronize", call)
    assert.is_number(step():item()) -- and goes on
  end)

  it("takes few launches", function()
    local list = {}
    for i = 1, 100 do
      list[i] = mascon.ones({ 2, i }, { device = DEVICE })
    end
    local calls = fake.masconF_calls "launch_kernel"
    mascon.cat(list, 2)
    assert.equal(1, tonumber(fake.masconF_calls "launch_kernel" - calls))
    local step = step_of(custom, optimizers.Adam)
    for _ = 1, 3 do
      step()
    end
    local before = fake.masconF_calls "launch_kernel"
    step()
    assert.is_true(tonumber(fake.masconF_calls "launch_kernel" - before) <= 48)
  end)
end)
