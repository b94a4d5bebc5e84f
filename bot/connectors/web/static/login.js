// Says why the person is back on the login page.

if (new URLSearchParams(location.search).has("wrong")) {
  const token = document.getElementById("token");
  document.getElementById("wrong").textContent = "That token is not right.";
  token.setAttribute("aria-invalid", "true");
  token.setAttribute("aria-describedby", "wrong");
}
