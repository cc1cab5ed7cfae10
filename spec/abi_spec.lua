--- The header, the library and Lua agree about the visible structs, and the op table is sound.

local layer = require "mascon.ffi"
local op = require "mascon.op"
local ffi = require "ffi"

describe("the interface", function()
  it("has the sizes and offsets that C has", function()
    local sizes = ffi.new "int32_t[3]"
    assert.is_true(layer.C.mascon_abi(sizes, sizes + 1, sizes + 2) > 0)
    assert.equal(sizes[0], ffi.sizeof "mascon_call")
    assert.equal(sizes[1], ffi.sizeof "mascon_error")
    assert.equal(sizes[2], ffi.sizeof "mascon_ref")
    assert.equal(16, ffi.offsetof("mascon_call", "src"))
  end)

  it("describes every op with a summary, inputs and unique option names", function()
    local rows = op.list()
    assert.is_true(#rows > 100)
    for _, row in ipairs(rows) do
      assert.is_true(#row.summary > 1, row.name)
      local seen = {}
      for _, attr in ipairs(row.attrs) do
        assert.is_nil(seen[attr.name], row.name .. "." .. attr.name)
        assert.is_true(attr.help ~= nil and #attr.help > 0, row.name .. "." .. attr.name .. " has no help")
        seen[attr.name] = true
      end
      assert.is_true(row.reference ~= 0, row.name .. " has no reference kernel")
    end
  end)

  it("changes its hash with the table only", function()
    assert.equal(layer.C.mascon_op_hash(), layer.C.mascon_op_hash())
  end)

  it("answers a wrong call from C with a status and a sentence", function()
    local call = ffi.new "mascon_call"
    call.op = 100000
    assert.equal(layer.C.MASCON_E_ARG, layer.C.mascon_invoke(call))
    assert.is_truthy(ffi.string(layer.C.mascon_last_error().message):find("no such operation", 1, true))
  end)
end)
