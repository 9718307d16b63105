document.body.textContent = "first words";
