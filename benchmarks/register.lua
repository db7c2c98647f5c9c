-- For wrk: registrations of 5,000 devices, as a phone sends them.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/68.0.3440.75 Safari/537.36"
wrk.body = '{"id":"analytics.device","ver":"1.0","params":{"msgid":"x"},"request":{"channel":"01","producer":"dev.sunbird.portal","fcmToken":"asda","first_access":1565328282703,"dspec":{"os":"Android 6.0","make":"Motorola XT1706"},"userDeclaredLocation":{"state":"Karnataka","district":"Bengaluru Urban"}}}'
local number = 0
request = function()
  number = number + 1
  return wrk.format("POST", "/v1/device/register/device-" .. (number % 5000))
end
