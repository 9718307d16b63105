<h1><?php echo "first words"; ?></h1>
